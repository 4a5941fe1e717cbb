/* Children that ended. SIGCHLD writes a byte to a pipe; the loop reaps. */
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WATCH_LIMIT = STREAM_LIMIT * 2 + 1 }; /* streams, workers whose streams are gone, the image's program */
static struct {
    pid_t pid;
    bool ended;
    int status;
} watched[WATCH_LIMIT];
static int pipe_ends[2] = {-1, -1};

static void on_child(int number) {
    (void)number;
    int saved = errno;
    ssize_t ignored = write(pipe_ends[1], "", 1);
    (void)ignored;
    errno = saved;
}

void children_begin(void) {
    if (pipe2(pipe_ends, O_CLOEXEC | O_NONBLOCK) != 0)
        _exit(70);
    struct sigaction action = {.sa_handler = on_child, .sa_flags = SA_RESTART | SA_NOCLDSTOP};
    sigaction(SIGCHLD, &action, NULL);
}

int children_fd(void) { return pipe_ends[0]; }

void children_reap(void) {
    char bytes[256];
    while (read(pipe_ends[0], bytes, sizeof bytes) > 0) {
    }
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
        for (int i = 0; i < WATCH_LIMIT; i++)
            if (watched[i].pid == pid) {
                watched[i].ended = true;
                watched[i].status = status;
            }
}

void children_watch(pid_t pid) {
    for (int i = 0; i < WATCH_LIMIT; i++)
        if (watched[i].pid == 0) {
            watched[i].pid = pid;
            watched[i].ended = false;
            return;
        }
}

bool children_ended(pid_t pid, int *status) {
    for (int i = 0; i < WATCH_LIMIT; i++)
        if (watched[i].pid == pid) {
            *status = watched[i].status;
            return watched[i].ended;
        }
    return false;
}

void children_forget(pid_t pid) {
    for (int i = 0; i < WATCH_LIMIT; i++)
        if (watched[i].pid == pid)
            watched[i].pid = 0;
}

void forgo_sparing(void) {
    int score = pid1_mode >= 0 ? open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC) : -1;
    if (score < 0)
        return;
    ssize_t ignored = write(score, "0", 1);
    (void)ignored;
    close(score);
}
