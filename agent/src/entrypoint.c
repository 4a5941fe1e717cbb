/* The program that an image without init is made for: it starts with the machine and is ended as the image says. */
#include "agent.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SIZE_LIMIT = 1 << 20, GRACE_MS = 5000, STEP_MS = 20 };

static struct fields wanted;
static uint64_t end_signal = SIGTERM;
static pid_t running = -1;

void entrypoint_read(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    uint8_t *bytes = malloc(SIZE_LIMIT);
    size_t length = 0;
    for (ssize_t part; bytes != NULL && length < SIZE_LIMIT && (part = read(fd, bytes + length, SIZE_LIMIT - length)) > 0;)
        length += (size_t)part;
    close(fd);
    wanted = (struct fields){bytes, length};
    if (!fields_valid(wanted)) {
        wanted.length = 0;
        dprintf(1, "banger-agent: seed: the image's program is malformed\n");
    }
    struct field field;
    for (struct fields rest = wanted; fields_next(&rest, &field);)
        if (field.tag == 17 && (!field_number(&field, &end_signal) || end_signal == 0 || end_signal >= NSIG))
            end_signal = SIGTERM;
}

void entrypoint_start(void) {
    if (wanted.length == 0)
        return;
    running = exec_apart(wanted, 1);
    if (running > 0)
        children_watch(running);
    free((void *)wanted.bytes);
    wanted = (struct fields){0};
}

void entrypoint_end(void) {
    int status;
    if (running <= 0)
        return;
    children_reap();
    if (!children_ended(running, &status))
        kill(running, (int)end_signal);
    for (int passed_ms = 0; passed_ms < GRACE_MS && !children_ended(running, &status); passed_ms += STEP_MS) {
        nanosleep(&(struct timespec){.tv_nsec = STEP_MS * 1000000L}, NULL);
        children_reap();
    }
}
