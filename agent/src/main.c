/* banger-agent: as PID 1 the init of the initramfs; with --serve-fd N a server on a descriptor, on any host. */
#include "agent.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#if defined(__x86_64__)
/* How fast this host's time stamp counter runs. An emulated guest has the same counter and nothing to compare it with:
 * its timers arrive whenever the emulator gets to them, and calibration against them hangs on a busy host. */
static unsigned long long measure_tsc_khz(void) {
    struct timespec from, to;
    clock_gettime(CLOCK_MONOTONIC_RAW, &from);
    unsigned long long began = __builtin_ia32_rdtsc();
    nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    clock_gettime(CLOCK_MONOTONIC_RAW, &to);
    unsigned long long ticks = __builtin_ia32_rdtsc() - began;
    unsigned long long passed_ns = (unsigned long long)(to.tv_sec - from.tv_sec) * 1000000000u;
    passed_ns += (unsigned long long)to.tv_nsec - (unsigned long long)from.tv_nsec;
    return ticks * 1000000u / passed_ns;
}
#endif

int main(int count, char **arguments) {
    if (getpid() == 1) {
        arguments[0][0] = '@'; /* systemd ends no process of that name at shutdown */
        return run_as_init();
    }
    if (count == 3 && strcmp(arguments[1], "--serve-fd") == 0) {
        struct session session = {.fd = atoi(arguments[2]), .phase = "running"};
        int flags = fcntl(session.fd, F_GETFL);
        if (flags < 0 || fcntl(session.fd, F_SETFL, flags | O_NONBLOCK) != 0)
            return 2;
        fcntl(session.fd, F_SETFD, FD_CLOEXEC);
        signal(SIGPIPE, SIG_IGN);
        children_begin();
        session_run(&session);
        session_drop_streams(&session);
        return 0;
    }
#if defined(__x86_64__)
    if (count == 2 && strcmp(arguments[1], "--tsc-khz") == 0) {
        printf("%llu\n", measure_tsc_khz());
        return 0;
    }
#endif
    fputs("usage: banger-agent --serve-fd N | --tsc-khz\n", stderr);
    return 2;
}
