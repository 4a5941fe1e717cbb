/* banger-agent: as PID 1 the init of the initramfs; with --serve-fd N a server on a descriptor, on any host. */
#include "agent.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
    fputs("usage: banger-agent --serve-fd N\n", stderr);
    return 2;
}
