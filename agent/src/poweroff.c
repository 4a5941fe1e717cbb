/* Ending the guest, and writing everything to its disk. */
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int pid1_mode = -1;
bool shutdown_pending;
static bool restart_wanted;

/* systemd(1), "Signals": SIGRTMIN+4 and +5, with the C library of systemd, whose SIGRTMIN is 34 and not ours. */
enum { SYSTEMD_POWEROFF = 34 + 4, SYSTEMD_REBOOT = 34 + 5, GRACE_MS = 2000, STEP_MS = 20, EXIT_SWITCHED_OFF = 3 };

/* sync(2) takes as long as the disk needs, so a child waits for it, and every other stream goes on. */
struct writing {
    pid_t child;
    bool shutdown, restart;
};

static void serve(struct stream *stream, struct polls *polls) {
    (void)polls;
    struct writing *writing = stream->state;
    int status;
    if (!children_ended(writing->child, &status))
        return;
    stream_end_status(stream, 1, 0);
    if (writing->shutdown) {
        restart_wanted = writing->restart;
        shutdown_pending = true; /* once the answer is out */
    }
}

static void release(struct stream *stream) {
    struct writing *writing = stream->state;
    int status;
    if (!children_ended(writing->child, &status))
        kill(writing->child, SIGKILL);
    children_forget(writing->child);
    free(writing);
}

static const struct stream_kind_ops ops = {.serve = serve, .release = release};

static bool begin_writing(struct stream *stream, struct writing wanted) {
    struct writing *writing = malloc(sizeof *writing);
    if (writing == NULL)
        return false;
    *writing = wanted;
    writing->child = fork();
    if (writing->child == 0) {
        syscall(SYS_close_range, 0u, ~0u, 0u); /* nobody shall wait for the end of a pipe because of us */
        sync();
        _exit(0);
    }
    if (writing->child < 0) {
        stream_end_errno(stream, "no process to write with", errno);
        free(writing);
        return true;
    }
    children_watch(writing->child);
    stream->state = writing;
    stream->ops = &ops;
    return true;
}

bool sync_open(struct stream *stream, struct fields fields) {
    (void)fields;
    return begin_writing(stream, (struct writing){0});
}

bool shutdown_open(struct stream *stream, struct fields fields) {
    struct field field;
    uint64_t mode = 1;
    while (fields_next(&fields, &field))
        if (field.tag == 10 && !field_number(&field, &mode))
            return false;
    if (mode != 1 && mode != 2)
        return false;
    return begin_writing(stream, (struct writing){.shutdown = true, .restart = mode == 2});
}

static bool wait_for_all(int timeout_ms) {
    for (int passed_ms = 0; passed_ms < timeout_ms; passed_ms += STEP_MS) {
        for (pid_t pid; (pid = waitpid(-1, NULL, WNOHANG)) != 0;)
            if (pid < 0 && errno == ECHILD)
                return true;
        nanosleep(&(struct timespec){.tv_nsec = STEP_MS * 1000000L}, NULL);
    }
    return false;
}

void finish_shutdown(void) {
    shutdown_pending = false;
    if (pid1_mode < 0)
        _exit(EXIT_SWITCHED_OFF); /* on somebody's host, in a test: whoever started us plays the machine */
    if (pid1_mode == 0) {
        kill(1, restart_wanted ? SYSTEMD_REBOOT : SYSTEMD_POWEROFF);
        return;
    }
    kill(-1, SIGTERM);
    if (!wait_for_all(GRACE_MS)) {
        kill(-1, SIGKILL);
        wait_for_all(GRACE_MS);
    }
    sync();
    mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY, NULL);
    reboot(restart_wanted ? RB_AUTOBOOT : RB_POWER_OFF);
}
