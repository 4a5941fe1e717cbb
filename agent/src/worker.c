/* What may wait for a disk, in a process of its own. The agent's only thread carries the bytes between a stream and a
 * pipe, as for a program that it runs, and hears on another pipe how the work goes. */
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* A worker's only descriptors when it begins. */
enum { DATA_FD, REPORT_FD, NEXT_FD, PIPE_SIZE = WINDOW_SIZE, TIDYING_MS = 2000 };

struct worker {
    struct worker *next;
    const struct job *job;
    void *state;
    pid_t pid; /* 0: it ended */
    int data, reports;
    int data_poll, reports_poll;
    struct buffer pending; /* from the host, and not taken yet */
    struct outcome outcome;
    bool begun, mending, given_up;
    bool abandoned; /* its stream is gone */
    uint64_t given_up_ns;
};

static struct worker *workers; /* all that run, and those whose stream is there */

/* ---- in the worker */

static volatile sig_atomic_t stopped;

bool worker_stopped(void) { return stopped; }

static void on_stop(int number) {
    (void)number;
    if (stopped)
        return;
    stopped = 1;
    close(DATA_FD); /* nobody begins to wait there after this */
}

static void report(const struct outcome *outcome) {
    ssize_t ignored = write(REPORT_FD, outcome, sizeof *outcome); /* less than PIPE_BUF: whole or not at all */
    (void)ignored;
}

static void take_all(struct worker *worker, struct outcome *outcome) {
    static uint8_t bytes[FRAME_LIMIT];
    while (outcome->state == GOING_ON) {
        ssize_t length = stopped ? 0 : read(DATA_FD, bytes, sizeof bytes);
        if (length > 0)
            worker->job->take(worker->state, bytes, (size_t)length, outcome);
        else if (stopped)
            outcome_fail(outcome, "failed", "it was given up", ECANCELED);
        else if (length == 0 || errno != EINTR)
            outcome_fail(outcome, "invalid", "the tree ended early", EINVAL);
    }
}

/* What was found before something failed is given too: half a tree says at least what is there. */
static void give_all(struct worker *worker, struct outcome *outcome) {
    bool is_read = true;
    while (outcome->state == GOING_ON) {
        struct buffer *waiting = worker->job->give(worker->state, outcome);
        while (is_read && waiting->length > 0) {
            ssize_t length = write(DATA_FD, buffer_head(waiting), waiting->length);
            if (length >= 0) {
                buffer_drop(waiting, (size_t)length);
            } else if (errno != EINTR) {
                is_read = false;
                outcome_fail(outcome, "failed", "it was given up", ECANCELED);
            }
        }
    }
    close(DATA_FD);
}

static void work(struct worker *worker) {
    const struct job *job = worker->job;
    struct outcome outcome = {0};
    job->begin(worker->state, &outcome);
    if (outcome.state == GOING_ON) {
        report(&(struct outcome){.state = BEGUN});
        (job->take != NULL ? take_all : give_all)(worker, &outcome);
    }
    if (job->end != NULL)
        job->end(worker->state, &outcome);
    report(&outcome);
}

/* Of the agent nothing is kept but its name for init, which is in its first argument: whoever waits for the end of a
 * pipe or of the channel shall not wait for us. */
static void become_worker(const struct worker *worker, int data, int reports) {
    bool tidies = worker->job->mend != NULL;
    signal(SIGCHLD, SIG_DFL);
    sigaction(SIGTERM, &(struct sigaction){.sa_handler = worker->mending ? SIG_IGN : tidies ? on_stop : SIG_DFL}, NULL);
    prctl(PR_SET_NAME, worker->job->name);
    prctl(PR_SET_PDEATHSIG, tidies ? SIGTERM : SIGKILL);
    forgo_sparing();
    int moved[] = {data < 0 ? -1 : fcntl(data, F_DUPFD, NEXT_FD), fcntl(reports, F_DUPFD, NEXT_FD)};
    close(DATA_FD);
    if (moved[DATA_FD] >= 0)
        dup2(moved[DATA_FD], DATA_FD);
    dup2(moved[REPORT_FD], REPORT_FD);
    syscall(SYS_close_range, (unsigned)NEXT_FD, ~0u, 0u);
}

/* ---- in the agent */

static void close_end(int *descriptor) {
    if (*descriptor >= 0)
        close(*descriptor);
    *descriptor = -1;
}

/* Our end is `ours`, the worker's `theirs`. */
static bool open_pipe(bool to_worker, int *ours, int *theirs) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    *ours = ends[to_worker];
    *theirs = ends[!to_worker];
    fcntl(*ours, F_SETFL, O_NONBLOCK);
    return true;
}

/* False, and errno, when there is no process for it. */
static bool start(struct worker *worker) {
    const struct job *job = worker->job;
    int data = -1, reports = -1;
    bool carries = !worker->mending && (job->take != NULL || job->give != NULL);
    pid_t pid = -1;
    if ((!carries || open_pipe(job->take != NULL, &worker->data, &data)) && open_pipe(false, &worker->reports, &reports)) {
        if (carries)
            fcntl(data, F_SETPIPE_SZ, PIPE_SIZE); /* as it is will do too */
        pid = fork();
    }
    if (pid == 0) {
        become_worker(worker, data, reports);
        if (worker->mending)
            job->mend(worker->state);
        else
            work(worker);
        _exit(0);
    }
    int saved = errno;
    close_end(&data);
    close_end(&reports);
    if (pid < 0) {
        close_end(&worker->data);
        close_end(&worker->reports);
        errno = saved;
        return false;
    }
    worker->pid = pid;
    children_watch(pid);
    return true;
}

static bool has_ended(struct worker *worker) {
    int status;
    if (worker->pid > 0 && children_ended(worker->pid, &status)) {
        children_forget(worker->pid);
        worker->pid = 0;
    }
    return worker->pid == 0;
}

/* What must be tidied up is asked to end, and does that on its way out. */
static void stop(struct worker *worker) {
    if (!has_ended(worker))
        kill(worker->pid, worker->job->mend != NULL ? SIGTERM : SIGKILL);
}

void workers_stop(int number) {
    for (struct worker *worker = workers; worker != NULL; worker = worker->next)
        if ((worker->job->take != NULL || worker->job->give != NULL) && !has_ended(worker))
            kill(worker->pid, number);
}

/* How many are left that have no stream any more. */
static size_t forget_ended(void) {
    size_t left = 0;
    for (struct worker **link = &workers; *link != NULL;) {
        struct worker *worker = *link;
        if (worker->abandoned && has_ended(worker)) {
            *link = worker->next;
            free(worker);
        } else {
            left += worker->abandoned;
            link = &worker->next;
        }
    }
    return left;
}

static void hear(struct stream *stream, struct worker *worker) {
    struct outcome said;
    ssize_t length;
    while (worker->reports >= 0 && (length = read(worker->reports, &said, sizeof said)) != 0) {
        if (length < 0 && errno == EAGAIN)
            return;
        if (length < 0 && errno == EINTR)
            continue;
        if (length != sizeof said)
            break;
        if (said.state == BEGUN && !worker->begun) {
            worker->begun = true;
            stream_started(stream, NULL);
        } else if (said.state != BEGUN) {
            worker->outcome = said;
        }
    }
    close_end(&worker->reports);
}

/* How many bytes the worker took: all, when it takes none any more, so that the host can finish sending. */
static size_t pour(struct worker *worker, const uint8_t *bytes, size_t length) {
    size_t done = 0;
    while (worker->data >= 0 && done < length) {
        ssize_t written = write(worker->data, bytes + done, length - done);
        if (written >= 0)
            done += (size_t)written;
        else if (errno == EAGAIN)
            return done;
        else if (errno != EINTR)
            close_end(&worker->data);
    }
    return length;
}

static void pour_pending(struct stream *stream, struct worker *worker) {
    if (worker->pending.length > 0) {
        size_t taken = pour(worker, buffer_head(&worker->pending), worker->pending.length);
        buffer_drop(&worker->pending, taken);
        stream_consumed(stream, taken);
    }
    if (stream->input_ended && worker->pending.length == 0)
        close_end(&worker->data);
}

static bool on_data(struct stream *stream, const uint8_t *bytes, size_t length) {
    struct worker *worker = stream->state;
    size_t taken = worker->pending.length == 0 ? pour(worker, bytes, length) : 0;
    stream_consumed(stream, taken);
    if (!buffer_add(&worker->pending, bytes + taken, length - taken))
        stream_end_error(stream, "failed", "no memory", ENOMEM);
    return !stream->ended;
}

static void on_end_of_file(struct stream *stream) { pour_pending(stream, stream->state); }

/* The host waits for what a worker tidies up, but not for a disk that does nothing. */
static void on_reset(struct stream *stream) {
    struct worker *worker = stream->state;
    if (worker->given_up)
        return;
    worker->given_up = true;
    worker->given_up_ns = boot_clock_ns();
    close_end(&worker->data);
    pour_pending(stream, worker);
    stop(worker);
}

static int tidying_left_ms(const struct worker *worker) {
    uint64_t passed_ms = (boot_clock_ns() - worker->given_up_ns) / 1000000;
    return worker->job->mend == NULL || passed_ms >= TIDYING_MS ? 0 : (int)(TIDYING_MS - passed_ms);
}

static void prepare(struct stream *stream, struct polls *polls) {
    struct worker *worker = stream->state;
    short wanted = 0;
    if (worker->pending.length > 0)
        wanted = POLLOUT;
    else if (worker->begun && worker->job->give != NULL && stream_room(stream, 0) > 0)
        wanted = POLLIN;
    worker->data_poll = wanted ? polls_add(polls, worker->data, wanted) : -1;
    worker->reports_poll = polls_add(polls, worker->reports, POLLIN);
    if (worker->given_up)
        polls_within(polls, tidying_left_ms(worker));
}

static void carry(struct stream *stream, struct worker *worker) {
    if (worker->job->take != NULL) {
        pour_pending(stream, worker);
    } else if (stream_room(stream, 0) > 0) {
        ssize_t length = stream_forward(stream, 0, worker->data);
        if (length == 0 || (length < 0 && errno != EAGAIN && errno != EINTR))
            close_end(&worker->data);
    }
}

static void end_stream(struct stream *stream, struct worker *worker) {
    if (worker->outcome.state == DONE && worker->job->give != NULL)
        stream_send_end_of_file(stream, 0);
    if (worker->job->ended != NULL)
        worker->job->ended();
    if (worker->outcome.state != GOING_ON)
        stream_end_outcome(stream, &worker->outcome);
    else
        stream_end_error(stream, "failed", "the process that did this in the guest was killed", 0);
}

static void serve(struct stream *stream, struct polls *polls) {
    struct worker *worker = stream->state;
    if (polls_events(polls, worker->reports_poll))
        hear(stream, worker);
    if (polls_events(polls, worker->data_poll))
        carry(stream, worker);
    if (worker->given_up && tidying_left_ms(worker) == 0) {
        stream_end_error(stream, "failed", "given up by the host", ECANCELED);
        return;
    }
    if (!has_ended(worker))
        return;
    hear(stream, worker); /* its last word */
    bool unfinished = worker->outcome.state == GOING_ON && worker->job->mend != NULL && !worker->mending;
    if (unfinished) { /* it was killed: another one tidies up */
        worker->mending = true;
        close_end(&worker->data);
        if (start(worker))
            return;
    }
    /* A host that has no room yet still gets all that it was given. */
    bool gives = worker->begun && worker->job->give != NULL && worker->data >= 0;
    if (worker->outcome.state == GOING_ON || !gives)
        end_stream(stream, worker);
}

static void release(struct stream *stream) {
    struct worker *worker = stream->state;
    close_end(&worker->data);
    close_end(&worker->reports);
    buffer_free(&worker->pending);
    free(worker->state);
    worker->state = NULL;
    worker->abandoned = true;
    stop(worker);
    forget_ended();
}

static const struct stream_kind_ops ops = {.reset = on_reset, .prepare = prepare, .serve = serve, .release = release};
static const struct stream_kind_ops ops_with_input = {
    .data = on_data,
    .end_of_file = on_end_of_file,
    .reset = on_reset,
    .prepare = prepare,
    .serve = serve,
    .release = release,
};

void worker_open(struct stream *stream, const struct job *job, void *state) {
    struct worker *worker = forget_ended() < STREAM_LIMIT ? calloc(1, sizeof *worker) : NULL;
    if (worker == NULL) {
        free(state);
        stream_end_error(stream, "failed", "too many that were given up still wait for the disk", EAGAIN);
        return;
    }
    *worker = (struct worker){.next = workers, .job = job, .state = state, .data = -1, .reports = -1};
    worker->data_poll = worker->reports_poll = -1; /* it may be served before it was prepared for */
    workers = worker;
    stream->state = worker;
    stream->ops = job->take != NULL ? &ops_with_input : &ops;
    if (!start(worker))
        stream_end_errno(stream, "there is no process for it", errno);
}
