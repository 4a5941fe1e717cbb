/* Running programs: three pipes or one pseudo terminal, a session of its own, and how it ended. */
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { ARGUMENT_LIMIT = 4096, LINGER_MS = 200, FLAG_PTY = 1, FLAG_STDIN = 2, FLAG_MAKE_DIRECTORY = 8 };

struct request {
    char *arguments[ARGUMENT_LIMIT + 1];
    char *environment[ARGUMENT_LIMIT + 1];
    size_t argument_count, environment_count;
    char directory[PATH_SIZE];
    char user[128];
    uid_t uid;
    gid_t gid;
    char user_name[64], home[PATH_SIZE];
    bool pty, input, make_directory;
    struct winsize size;
};

/* What a child that could not become the program says on its way out. */
struct report {
    enum stage { STARTING, USER, DIRECTORY } stage;
    int error;
};

struct program {
    pid_t pid;
    int report, report_poll; /* closes when the program has begun; the agent waits for no child */
    int input;     /* write end of stdin, or the terminal */
    int output[2]; /* read ends; with a terminal only the first */
    int input_poll, output_poll[2];
    struct buffer pending;
    bool pty, closing_input, ended;
    int status;
    struct timespec ended_at;
};

static const struct stream_kind_ops ops;

static bool is_number(const char *text, unsigned long *number) {
    char *end;
    *number = strtoul(text, &end, 10);
    return end != text && *end == 0;
}

/* `user` or `user:group`, each a name or a number, looked up in the guest's own files. Root and numbers need no entry
   there. */
static bool find_user(struct request *request) {
    char text[sizeof request->user];
    snprintf(text, sizeof text, "%s", request->user[0] ? request->user : "0");
    char *group = strchr(text, ':');
    if (group != NULL)
        *group++ = 0;
    unsigned long uid = 0, gid;
    bool numeric = is_number(text, &uid);
    struct passwd *entry = numeric ? getpwuid((uid_t)uid) : getpwnam(text);
    if (entry == NULL && !numeric && strcmp(text, "root") != 0)
        return false;
    request->uid = entry ? entry->pw_uid : (uid_t)uid;
    request->gid = entry ? entry->pw_gid : (gid_t)uid;
    snprintf(request->user_name, sizeof request->user_name, "%s", entry ? entry->pw_name : uid == 0 ? "root" : "");
    snprintf(request->home, sizeof request->home, "%s", entry ? entry->pw_dir : uid == 0 ? "/root" : "/");
    if (entry != NULL && strlen(entry->pw_name) >= sizeof request->user_name)
        return false;
    if (group == NULL)
        return true;
    struct group *found = is_number(group, &gid) ? NULL : getgrnam(group);
    request->gid = found ? found->gr_gid : (gid_t)gid;
    return found != NULL || is_number(group, &gid) || strcmp(group, "root") == 0;
}

static bool add_string(char **list, size_t *count, const struct field *field) {
    if (*count == ARGUMENT_LIMIT || memchr(field->value, 0, field->length) != NULL)
        return false;
    list[*count] = strndup((const char *)field->value, field->length);
    return list[(*count)++] != NULL;
}

/* NULL when understood, else what is wrong. */
static const char *read_request(struct request *request, struct fields fields) {
    struct field field;
    uint64_t number;
    request->size = (struct winsize){.ws_row = 24, .ws_col = 80};
    strcpy(request->directory, "/");
    while (fields_next(&fields, &field)) {
        switch (field.tag) {
        case 10:
            if (!add_string(request->arguments, &request->argument_count, &field))
                return "an argument is malformed";
            break;
        case 11:
            if (!add_string(request->environment, &request->environment_count, &field))
                return "an environment variable is malformed";
            break;
        case 12:
            if (!field_text(&field, request->directory, sizeof request->directory))
                return "the directory is malformed";
            break;
        case 13:
            if (!field_text(&field, request->user, sizeof request->user))
                return "the user is malformed";
            break;
        case 14:
            if (!field_number(&field, &number))
                return "the flags are malformed";
            request->pty = number & FLAG_PTY;
            request->input = number & FLAG_STDIN;
            request->make_directory = number & FLAG_MAKE_DIRECTORY;
            break;
        case 15:
        case 16:
            if (!field_number(&field, &number) || number > 10000)
                return "the size of the terminal is malformed";
            *(field.tag == 15 ? &request->size.ws_row : &request->size.ws_col) = (unsigned short)number;
            break;
        default: break;
        }
    }
    return request->argument_count == 0 ? "there is no argument" : NULL;
}

static void free_request(struct request *request) {
    for (size_t i = 0; i < request->argument_count; i++)
        free(request->arguments[i]);
    for (size_t i = 0; i < request->environment_count; i++)
        free(request->environment[i]);
    free(request);
}

static const char *find_variable(const struct request *request, const char *name) {
    size_t length = strlen(name);
    for (size_t i = 0; i < request->environment_count; i++)
        if (strncmp(request->environment[i], name, length) == 0 && request->environment[i][length] == '=')
            return request->environment[i] + length + 1;
    return NULL;
}

/* execvpe with the PATH of the program's own environment; returns errno. */
static int execute(const struct request *request) {
    const char *program = request->arguments[0];
    if (strchr(program, '/') != NULL) {
        execve(program, request->arguments, request->environment);
        return errno;
    }
    const char *path = find_variable(request, "PATH");
    int failure = ENOENT;
    while (path != NULL && *program != 0) {
        const char *colon = strchrnul(path, ':');
        char candidate[PATH_SIZE];
        size_t length = (size_t)(colon - path);
        if (length > 0 && length + 1 + strlen(program) < sizeof candidate) {
            memcpy(candidate, path, length);
            candidate[length] = '/';
            strcpy(candidate + length + 1, program);
            execve(candidate, request->arguments, request->environment);
            if (errno != ENOENT && errno != ENOTDIR && failure != EACCES)
                failure = errno;
        }
        path = *colon ? colon + 1 : NULL;
    }
    return failure;
}

static void set_variable(struct request *request, const char *name, const char *value) {
    char *text;
    if (value[0] != 0 && find_variable(request, name) == NULL && request->environment_count < ARGUMENT_LIMIT &&
        asprintf(&text, "%s=%s", name, value) > 0)
        request->environment[request->environment_count++] = text;
}

/* In the child; only returns errno of what failed, with the stage that it got to. */
static int become(struct request *request, const int descriptors[3], enum stage *stage) {
    if (setsid() < 0)
        return errno;
    if (request->pty && ioctl(descriptors[0], TIOCSCTTY, 0) != 0)
        return errno;
    for (int i = 0; i < 3; i++)
        if (dup2(descriptors[i], i) < 0)
            return errno;
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    umask(022);
    forgo_sparing();
    *stage = USER;
    if (!find_user(request))
        return EINVAL;
    if (request->make_directory)
        make_directories(request->directory); /* or entering it fails */
    *stage = STARTING;
    set_variable(request, "HOME", request->home);
    set_variable(request, "USER", request->user_name);
    set_variable(request, "LOGNAME", request->user_name);
    if (request->uid != 0 || request->gid != 0) {
        bool named = request->user_name[0] != 0;
        if ((named ? initgroups(request->user_name, request->gid) : setgroups(0, NULL)) != 0 && geteuid() == 0)
            return errno;
        if (setgid(request->gid) != 0 || setuid(request->uid) != 0)
            return errno;
    }
    *stage = DIRECTORY;
    if (chdir(request->directory) != 0)
        return errno;
    *stage = STARTING;
    return execute(request);
}

static int open_terminal(const struct winsize *size, int *slave) {
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0)
        return -1;
    int unlock = 0, number;
    char name[32] = "/dev/pts/";
    *slave = -1;
    if (ioctl(master, TIOCSPTLCK, &unlock) == 0 && ioctl(master, TIOCGPTN, &number) == 0) {
        char digits[12];
        int count = 0;
        do
            digits[count++] = (char)('0' + number % 10);
        while ((number /= 10) > 0);
        size_t length = strlen(name);
        while (count > 0)
            name[length++] = digits[--count];
        name[length] = 0;
        *slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    }
    if (*slave < 0) {
        close(master);
        return -1;
    }
    ioctl(master, TIOCSWINSZ, size);
    return master;
}

struct ends {
    int parent_input, parent_output[2];
    int child[3];
};

static void close_all(const int *descriptors, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (descriptors[i] >= 0)
            close(descriptors[i]);
}

static bool open_ends(const struct request *request, struct ends *ends) {
    *ends = (struct ends){-1, {-1, -1}, {-1, -1, -1}};
    if (request->pty) {
        int slave;
        int master = open_terminal(&request->size, &slave);
        if (master < 0)
            return false;
        ends->parent_input = fcntl(master, F_DUPFD_CLOEXEC, 0);
        ends->parent_output[0] = master;
        ends->child[0] = slave;
        ends->child[1] = fcntl(slave, F_DUPFD_CLOEXEC, 0);
        ends->child[2] = fcntl(slave, F_DUPFD_CLOEXEC, 0);
        return ends->parent_input >= 0 && ends->child[1] >= 0 && ends->child[2] >= 0;
    }
    int pair[2];
    if (request->input) {
        if (pipe2(pair, O_CLOEXEC) != 0)
            return false;
        ends->child[0] = pair[0];
        ends->parent_input = pair[1];
    } else if ((ends->child[0] = open("/dev/null", O_RDONLY | O_CLOEXEC)) < 0) {
        return false;
    }
    for (int i = 0; i < 2; i++) {
        if (pipe2(pair, O_CLOEXEC) != 0)
            return false;
        ends->parent_output[i] = pair[0];
        ends->child[1 + i] = pair[1];
    }
    return true;
}

/* The child's pid, with `*report` to be read from; -1 and errno. */
static pid_t spawn(struct request *request, const struct ends *ends, int *report) {
    int pair[2];
    if (pipe2(pair, O_CLOEXEC | O_NONBLOCK) != 0)
        return -1;
    pid_t pid = fork();
    if (pid == 0) {
        /* The child's ends may be 0, 1 or 2 themselves: move them out of the way first. */
        int descriptors[3];
        for (int i = 0; i < 3; i++)
            descriptors[i] = fcntl(ends->child[i], F_DUPFD_CLOEXEC, 3);
        struct report said = {.stage = STARTING};
        said.error = become(request, descriptors, &said.stage);
        ssize_t ignored = write(pair[1], &said, sizeof said);
        (void)ignored;
        _exit(127);
    }
    int saved = errno;
    close(pair[1]);
    if (pid > 0)
        *report = pair[0];
    else
        close(pair[0]);
    errno = saved;
    return pid;
}

pid_t exec_apart(struct fields fields, int output) {
    struct request *request = calloc(1, sizeof *request);
    const char *wrong = request == NULL ? "no memory" : read_request(request, fields);
    int input = open("/dev/null", O_RDONLY | O_CLOEXEC);
    pid_t pid = -1;
    if (wrong != NULL)
        dprintf(output, "banger-agent: the image's program: %s\n", wrong);
    else if (input >= 0)
        pid = fork();
    if (pid == 0) {
        int descriptors[3] = {fcntl(input, F_DUPFD_CLOEXEC, 3), fcntl(output, F_DUPFD_CLOEXEC, 3),
                              fcntl(output, F_DUPFD_CLOEXEC, 3)};
        enum stage stage = STARTING;
        int error = become(request, descriptors, &stage);
        dprintf(1, "banger-agent: the image's program %s cannot be started: %s%s\n", request->arguments[0],
                stage == USER ? "no such user" : stage == DIRECTORY ? "its directory: " : "",
                stage == USER ? "" : strerror(error));
        _exit(127);
    }
    if (input >= 0)
        close(input);
    if (request != NULL)
        free_request(request);
    return pid;
}

bool exec_open(struct stream *stream, struct fields fields) {
    struct request *request = calloc(1, sizeof *request);
    struct program *program = calloc(1, sizeof *program);
    if (request == NULL || program == NULL) {
        free(request);
        free(program);
        return false;
    }
    const char *wrong = read_request(request, fields);
    struct ends ends = {-1, {-1, -1}, {-1, -1, -1}};
    pid_t pid = -1;
    int report = -1;
    if (wrong != NULL)
        stream_end_error(stream, "invalid", wrong, EINVAL);
    else if (!open_ends(request, &ends))
        stream_end_errno(stream, "no pipes or terminal", errno);
    else if ((pid = spawn(request, &ends, &report)) < 0)
        stream_end_errno(stream, "the program cannot be started", errno);
    close_all(ends.child, 3);
    if (pid < 0) {
        close_all(ends.parent_output, 2);
        close_all(&ends.parent_input, 1);
        free_request(request);
        free(program);
        return true;
    }
    children_watch(pid);
    *program = (struct program){.pid = pid,
                                .report = report,
                                .input = ends.parent_input,
                                .output = {ends.parent_output[0], ends.parent_output[1]},
                                .report_poll = -1,
                                .input_poll = -1,
                                .output_poll = {-1, -1},
                                .pty = request->pty};
    int parents[3] = {program->input, program->output[0], program->output[1]};
    for (int i = 0; i < 3; i++)
        if (parents[i] >= 0)
            fcntl(parents[i], F_SETFL, fcntl(parents[i], F_GETFL) | O_NONBLOCK);
    free_request(request);
    stream->state = program;
    stream->ops = &ops;
    return true;
}

/* Has the program begun, or could it not? */
static void hear_report(struct stream *stream, struct program *program) {
    struct report said;
    ssize_t length = read(program->report, &said, sizeof said);
    if (length < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    close(program->report);
    program->report = -1;
    if (length != sizeof said) {
        struct buffer started = {0};
        add_number(&started, 1, (uint64_t)program->pid);
        stream_started(stream, &started);
        buffer_free(&started);
    } else if (said.stage == USER) {
        stream_end_error(stream, "invalid", "there is no such user in the guest", said.error);
    } else if (said.stage == DIRECTORY) {
        char text[128];
        snprintf(text, sizeof text, "the working directory cannot be entered: %s", strerror(said.error));
        stream_end_error(stream, "invalid", text, said.error);
    } else {
        stream_end_errno(stream, "the program cannot be started", said.error);
    }
}

static void close_input(struct program *program) {
    if (program->input >= 0)
        close(program->input);
    program->input = -1;
    buffer_free(&program->pending);
}

/* Bytes that nobody will read any more are still consumed, so that the host can finish sending. */
static void drop_input(struct stream *stream, struct program *program) {
    size_t length = program->pending.length;
    close_input(program);
    stream_consumed(stream, length);
}

static void feed(struct stream *stream, struct program *program) {
    while (program->input >= 0 && program->pending.length > 0) {
        ssize_t length = write(program->input, buffer_head(&program->pending), program->pending.length);
        if (length < 0) {
            if (errno != EAGAIN && errno != EINTR)
                drop_input(stream, program);
            return;
        }
        buffer_drop(&program->pending, (size_t)length);
        stream_consumed(stream, (size_t)length);
    }
    if (program->closing_input && program->pending.length == 0)
        close_input(program);
}

static bool on_data(struct stream *stream, const uint8_t *bytes, size_t length) {
    struct program *program = stream->state;
    if (program->input < 0) {
        stream_consumed(stream, length);
        return true;
    }
    if (!buffer_add(&program->pending, bytes, length))
        drop_input(stream, program);
    feed(stream, program);
    return true;
}

static void on_end_of_file(struct stream *stream) {
    struct program *program = stream->state;
    if (program->pty) {
        struct termios terminal;
        cc_t character = 4;
        if (program->input >= 0 && tcgetattr(program->input, &terminal) == 0)
            character = terminal.c_cc[VEOF];
        buffer_add(&program->pending, &character, 1);
    }
    program->closing_input = true;
    feed(stream, program);
}

static void send_signal(struct program *program, int number) {
    pid_t group = program->pid;
    if (program->pty && program->output[0] >= 0) {
        pid_t foreground = tcgetpgrp(program->output[0]);
        if (foreground > 0)
            group = foreground;
    }
    if (!program->ended || group != program->pid)
        kill(-group, number);
}

static void on_control(struct stream *stream, struct fields fields) {
    struct program *program = stream->state;
    struct field field;
    struct winsize size = {0};
    uint64_t number;
    while (fields_next(&fields, &field)) {
        if (!field_number(&field, &number))
            return;
        if (field.tag == 1 && number > 0 && number < NSIG)
            send_signal(program, (int)number);
        if (field.tag == 2)
            size.ws_row = (unsigned short)number;
        if (field.tag == 3)
            size.ws_col = (unsigned short)number;
    }
    if (size.ws_row > 0 && size.ws_col > 0 && program->pty && program->output[0] >= 0)
        ioctl(program->output[0], TIOCSWINSZ, &size);
}

static void prepare(struct stream *stream, struct polls *polls) {
    struct program *program = stream->state;
    program->report_poll = polls_add(polls, program->report, POLLIN);
    program->input_poll = program->pending.length > 0 ? polls_add(polls, program->input, POLLOUT) : -1;
    for (int i = 0; i < 2; i++)
        program->output_poll[i] = program->report < 0 && stream_room(stream, i) > 0 ? polls_add(polls, program->output[i], POLLIN) : -1;
    if (program->ended)
        polls_within(polls, 20);
}

/* Read what is there; the end of the output closes our end. */
static void pump(struct stream *stream, struct program *program, int channel) {
    if (program->output[channel] < 0 || stream_room(stream, channel) == 0)
        return;
    ssize_t length = stream_forward(stream, channel, program->output[channel]);
    if (length == 0 || (length < 0 && errno != EAGAIN && errno != EINTR)) { /* a terminal without users says EIO */
        close(program->output[channel]);
        program->output[channel] = -1;
        stream_send_end_of_file(stream, channel);
    }
}

static bool lingered(const struct program *program) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    long passed_ms = (now.tv_sec - program->ended_at.tv_sec) * 1000 + (now.tv_nsec - program->ended_at.tv_nsec) / 1000000;
    return passed_ms >= LINGER_MS;
}

/* Has an open output nothing more to read for now? */
static bool is_quiet(const struct program *program, int channel) {
    struct pollfd entry = {.fd = program->output[channel], .events = POLLIN};
    return poll(&entry, 1, 0) == 0;
}

static void serve(struct stream *stream, struct polls *polls) {
    struct program *program = stream->state;
    if (polls_events(polls, program->report_poll))
        hear_report(stream, program);
    if (program->report >= 0 || stream->ended)
        return;
    if (polls_events(polls, program->input_poll))
        feed(stream, program);
    for (int i = 0; i < 2; i++)
        if (polls_events(polls, program->output_poll[i]))
            pump(stream, program, i);
    int status;
    if (!program->ended && children_ended(program->pid, &status)) {
        program->ended = true;
        program->status = status;
        clock_gettime(CLOCK_MONOTONIC, &program->ended_at);
    }
    if (!program->ended)
        return;
    for (int i = 0; i < 2; i++)
        if (program->output[i] >= 0 && (!lingered(program) || !is_quiet(program, i)))
            return;
    if (WIFSIGNALED(program->status))
        stream_end_status(stream, 2, (uint64_t)WTERMSIG(program->status));
    else
        stream_end_status(stream, 1, (uint64_t)WEXITSTATUS(program->status));
}

static void release(struct stream *stream) {
    struct program *program = stream->state;
    int status;
    if (!program->ended) {
        kill(-program->pid, SIGHUP);
        kill(-program->pid, SIGKILL);
        if (!children_ended(program->pid, &status))
            kill(program->pid, SIGKILL); /* it may not lead its group yet */
    }
    children_forget(program->pid);
    close_input(program);
    close_all(&program->report, 1);
    close_all(program->output, 2);
    free(program);
}

static const struct stream_kind_ops ops = {
    .data = on_data,
    .end_of_file = on_end_of_file,
    .control = on_control,
    .prepare = prepare,
    .serve = serve,
    .release = release,
};
