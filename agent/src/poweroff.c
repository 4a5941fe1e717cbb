/* Ending the guest, and writing everything to its disk. */
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int pid1_mode = -1;
bool shutdown_pending;
static bool restart_wanted;

/* systemd(1), "Signals": SIGRTMIN+4 and +5, with the C library of systemd, whose SIGRTMIN is 34 and not ours. */
enum { SYSTEMD_POWEROFF = 34 + 4, SYSTEMD_REBOOT = 34 + 5, GRACE_MS = 2000, STEP_MS = 20, EXIT_SWITCHED_OFF = 3 };

bool sync_open(struct stream *stream, struct fields fields) {
    (void)fields;
    sync();
    stream_end_status(stream, 1, 0);
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
    sync();
    stream_end_status(stream, 1, 0);
    restart_wanted = mode == 2;
    shutdown_pending = true; /* once the answer is out */
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
