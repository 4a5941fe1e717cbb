/* A libFuzzer target: a whole session with a hostile host. Frames, windows, fields and tree records are the agent's own;
 * what would act on the machine is replaced, jobs are done in this process and not in workers, and trees are written and
 * read in one directory of the fuzzer's own: put.c and get.c are compiled with `open` and `make_directories` meaning the
 * two functions below. */
#include "../src/agent.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *count, char ***arguments);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length);

/* ---- instead of worker.c: each job is done as its bytes come, in this process */

struct doing {
    const struct job *job;
    void *state;
    struct outcome outcome;
};

static void end_when_done(struct stream *stream) {
    struct doing *doing = stream->state;
    if (doing->outcome.state != GOING_ON)
        stream_end_outcome(stream, &doing->outcome);
}
static bool take(struct stream *stream, const uint8_t *bytes, size_t length) {
    struct doing *doing = stream->state;
    stream_consumed(stream, length);
    doing->job->take(doing->state, bytes, length, &doing->outcome);
    end_when_done(stream);
    return true;
}
static void end_early(struct stream *stream) {
    struct doing *doing = stream->state;
    outcome_fail(&doing->outcome, "invalid", "the tree ended early", 0);
    end_when_done(stream);
}
static void end_job(struct stream *stream) {
    struct doing *doing = stream->state;
    doing->job->end(doing->state, &doing->outcome);
    free(doing->state);
    free(doing);
}
static const struct stream_kind_ops taking = {.data = take, .end_of_file = end_early, .release = end_job};
static const struct stream_kind_ops giving = {.release = end_job};

void worker_open(struct stream *stream, const struct job *job, void *state) {
    struct doing *doing = calloc(1, sizeof *doing);
    if (doing == NULL)
        abort();
    *doing = (struct doing){.job = job, .state = state};
    stream->state = doing;
    stream->ops = job->take != NULL ? &taking : &giving;
    job->begin(state, &doing->outcome);
    if (doing->outcome.state == GOING_ON)
        stream_started(stream, NULL);
    for (size_t given = 0; job->give != NULL && given < WINDOW_SIZE && doing->outcome.state == GOING_ON;) {
        struct buffer *waiting = job->give(state, &doing->outcome);
        given += waiting->length;
        buffer_drop(waiting, waiting->length);
    }
    end_when_done(stream);
}
bool worker_stopped(void) { return false; }

/* ---- instead of exec.c, connect.c, info.c, poweroff.c, archive.c and children.c */

static bool swallow(struct stream *stream, const uint8_t *bytes, size_t length) {
    (void)bytes;
    stream_consumed(stream, length);
    return true;
}
static void ignore(struct stream *stream, struct fields fields) {
    struct field field;
    uint64_t number;
    char text[64];
    while (fields_next(&fields, &field)) {
        field_number(&field, &number);
        field_text(&field, text, sizeof text);
    }
    (void)stream;
}
static void end_of_file(struct stream *stream) { stream_end_status(stream, 1, 0); }
static const struct stream_kind_ops swallowing = {.data = swallow, .control = ignore, .end_of_file = end_of_file};

static bool open_swallowing(struct stream *stream, struct fields fields) {
    ignore(stream, fields);
    stream->ops = &swallowing;
    stream_started(stream, NULL);
    return true;
}
bool exec_open(struct stream *stream, struct fields fields) { return open_swallowing(stream, fields); }
bool connect_open(struct stream *stream, struct fields fields) { return open_swallowing(stream, fields); }
bool info_open(struct stream *stream, struct fields fields) { return open_swallowing(stream, fields); }
bool shutdown_open(struct stream *stream, struct fields fields) { return open_swallowing(stream, fields); }
bool sync_open(struct stream *stream, struct fields fields) { return open_swallowing(stream, fields); }
bool archive_open(struct stream *stream, struct fields fields) { return open_swallowing(stream, fields); }
int pid1_mode = -1;
bool shutdown_pending;
void finish_shutdown(void) {}
void shutdown_prepare(struct polls *polls) { (void)polls; }
void shutdown_serve(void) {}
int children_fd(void) { return -1; }
void children_reap(void) {}

static char directory[] = "/tmp/banger-fuzz-XXXXXX";

int fuzz_open(const char *path, int flags, ...);
int fuzz_open(const char *path, int flags, ...) {
    (void)path;
    return open(directory, flags & ~(O_CREAT | O_WRONLY | O_RDWR));
}
int fuzz_make_directories(const char *path);
int fuzz_make_directories(const char *path) { return path[0] == '/' ? 0 : -1; }

int LLVMFuzzerInitialize(int *count, char ***arguments) {
    (void)count;
    (void)arguments;
    if (mkdtemp(directory) == NULL) {
        perror("a directory");
        exit(2);
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t length) {
    static const char sync[] = "banger-sync-host0123456789abcdef";
    struct session session = {.fd = -1, .phase = "running"};
    session_receive(&session, (const uint8_t *)sync, 32);
    /* In pieces, as a channel delivers them: the first byte says how large. */
    size_t piece = length > 0 ? bytes[0] + 1u : 1u;
    for (size_t start = 1; start < length; start += piece)
        session_receive(&session, bytes + start, length - start < piece ? length - start : piece);
    session_drop_streams(&session);
    buffer_free(&session.in);
    buffer_free(&session.out);
    return 0;
}
