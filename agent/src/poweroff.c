/* Ending the guest, and writing everything to its disk. */
#include "agent.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int pid1_mode = -1;
bool shutdown_pending;
static bool restart_wanted;
static int64_t began_asking_ms, asked_at_ms; /* 0: the init has not been asked */

/* systemd(1), "Signals": SIGRTMIN+4 and +5, with the C library of systemd, whose SIGRTMIN is 34 and not ours. */
enum { SYSTEMD_POWEROFF = 34 + 4, SYSTEMD_REBOOT = 34 + 5, GRACE_MS = 2000, STEP_MS = 20, EXIT_SWITCHED_OFF = 3 };
enum { ASK_AGAIN_MS = 2000, LEFTOVERS_GRACE_MS = 4000, ANCESTORS_LIMIT = 4096 };

static void write_all(void *state, struct outcome *outcome) {
    (void)state;
    sync();
    outcome->state = DONE;
}

/* Once the answer is out. */
static void power_off(void) {
    restart_wanted = false;
    shutdown_pending = true;
}

static void start_again(void) { restart_wanted = shutdown_pending = true; }

static const struct job sync_job = {.name = "banger-sync", .begin = write_all};
static const struct job power_off_job = {.name = "banger-sync", .begin = write_all, .ended = power_off};
static const struct job restart_job = {.name = "banger-sync", .begin = write_all, .ended = start_again};

bool sync_open(struct stream *stream, struct fields fields) {
    (void)fields;
    worker_open(stream, &sync_job, NULL);
    return true;
}

bool shutdown_open(struct stream *stream, struct fields fields) {
    struct field field;
    uint64_t mode = 1;
    while (fields_next(&fields, &field))
        if (field.tag == 10 && !field_number(&field, &mode))
            return false;
    if (mode != 1 && mode != 2)
        return false;
    worker_open(stream, mode == 2 ? &restart_job : &power_off_job, NULL);
    return true;
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

/* The state, parent and session of a process; false when there is none. */
static bool look_up(pid_t pid, char *state, pid_t *parent, pid_t *session) {
    char path[32], text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    text[length > 0 ? length : 0] = 0;
    const char *rest = strrchr(text, ')'); /* the name before it may have anything in it */
    int numbers[3];
    if (rest == NULL || sscanf(rest + 1, " %c %d %d %d", state, &numbers[0], &numbers[1], &numbers[2]) != 4)
        return false;
    *parent = numbers[0];
    *session = numbers[2];
    return true;
}

/* Does it descend from a program that a client ran? Those have sessions of their own; what we fork for ourselves has ours. */
static bool is_leftover(pid_t pid) {
    char state;
    pid_t parent, session;
    if (!look_up(pid, &state, &parent, &session) || state == 'Z' || session == getsid(0))
        return false;
    for (int depth = 0; depth < ANCESTORS_LIMIT && parent > 1; depth++) {
        if (parent == getpid())
            return true;
        if (!look_up(parent, &state, &parent, &session))
            return false;
    }
    return false;
}

static void signal_leftovers(const int *numbers, int count) {
    DIR *listing = opendir("/proc");
    for (struct dirent *entry; listing != NULL && (entry = readdir(listing)) != NULL;) {
        pid_t pid = (pid_t)atoi(entry->d_name);
        if (pid > 1 && is_leftover(pid))
            for (int i = 0; i < count; i++)
                kill(pid, numbers[i]);
    }
    if (listing != NULL)
        closedir(listing);
}

static int64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Is there a process beside the init, us, and the kernel's own, which all descend from the second? */
static bool others_run(void) {
    bool found = false;
    DIR *listing = opendir("/proc");
    for (struct dirent *entry; !found && listing != NULL && (entry = readdir(listing)) != NULL;) {
        pid_t pid = (pid_t)atoi(entry->d_name), parent, session;
        char state;
        found = pid > 2 && pid != getpid() && look_up(pid, &state, &parent, &session) && parent != 2 && state != 'Z';
    }
    if (listing != NULL)
        closedir(listing);
    return found;
}

static void switch_off(void) {
    sync();
    mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY, NULL);
    reboot(restart_wanted ? RB_AUTOBOOT : RB_POWER_OFF);
}

/* The init has not come far enough to be asked, or knows no such request: then there is little that it would do. */
static void switch_off_without_init(void) {
    static const int numbers[] = {SIGTERM, SIGKILL};
    for (int i = 0; i < 2 && others_run(); i++) {
        kill(-1, numbers[i]);
        for (int passed_ms = 0; passed_ms < GRACE_MS && others_run(); passed_ms += STEP_MS)
            nanosleep(&(struct timespec){.tv_nsec = STEP_MS * 1000000L}, NULL);
    }
    switch_off();
}

/* A signal that comes before systemd listens is lost. Programs that it did not start, and that take no notice of their
 * end, it waits for: they are ended here. Our workers it spares, but what they have open cannot be unmounted. */
static void ask_init(void) {
    static const int ask[] = {SIGTERM, SIGHUP, SIGCONT}, force[] = {SIGKILL};
    bool first = asked_at_ms == 0;
    if (first && access("/run/systemd/private", F_OK) != 0)
        switch_off_without_init();
    asked_at_ms = now_ms();
    if (first)
        began_asking_ms = asked_at_ms;
    kill(1, restart_wanted ? SYSTEMD_REBOOT : SYSTEMD_POWEROFF);
    if (first) {
        signal_leftovers(ask, 3);
        workers_stop(SIGTERM);
    } else if (asked_at_ms - began_asking_ms >= LEFTOVERS_GRACE_MS) {
        signal_leftovers(force, 1);
        workers_stop(SIGKILL);
    }
}

void shutdown_prepare(struct polls *polls) {
    if (asked_at_ms != 0)
        polls_within(polls, ASK_AGAIN_MS);
}

void shutdown_serve(void) {
    if (asked_at_ms != 0 && now_ms() - asked_at_ms >= ASK_AGAIN_MS)
        ask_init();
}

void finish_shutdown(void) {
    shutdown_pending = false;
    if (pid1_mode < 0)
        _exit(EXIT_SWITCHED_OFF); /* on somebody's host, in a test: whoever started us plays the machine */
    if (pid1_mode == 0) {
        ask_init();
        return;
    }
    entrypoint_end();
    kill(-1, SIGTERM);
    if (!wait_for_all(GRACE_MS)) {
        kill(-1, SIGKILL);
        wait_for_all(GRACE_MS);
    }
    switch_off();
}
