/* The guest agent: types shared by its parts. The protocol is docs/agent-protocol.md. */
#ifndef BANGER_AGENT_H
#define BANGER_AGENT_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

enum {
    VERSION = 1,
    HEADER_SIZE = 12,
    FRAME_LIMIT = 65536,
    WINDOW_SIZE = 262144,
    STREAM_LIMIT = 256,
    PATH_SIZE = 4096,
    OUT_HIGH = 4 * (FRAME_LIMIT + HEADER_SIZE), /* no stream is read while so much waits to go out */
};

enum frame_type { HELLO = 1, PING, PONG, OPEN, DATA, END_OF_FILE, WINDOW, CONTROL, STARTED, END, RESET };
enum stream_kind { EXEC = 1, PUT, GET, CONNECT, INFO, SHUTDOWN, SYNC, ARCHIVE };

/* ---- buffer.c: a growing queue of bytes */
struct buffer {
    uint8_t *bytes;
    size_t start, length, capacity;
};
bool buffer_add(struct buffer *buffer, const void *bytes, size_t length);
uint8_t *buffer_room(struct buffer *buffer, size_t length); /* NULL when there is no memory */
void buffer_drop(struct buffer *buffer, size_t length);
void buffer_free(struct buffer *buffer);
static inline uint8_t *buffer_head(const struct buffer *buffer) { return buffer->bytes + buffer->start; }

/* ---- fields.c: tag, length, value */
struct fields {
    const uint8_t *bytes;
    size_t length;
};
struct field {
    uint8_t tag;
    uint32_t length;
    const uint8_t *value;
};
bool fields_next(struct fields *fields, struct field *field); /* false at the end and for anything malformed */
bool fields_valid(struct fields fields);
bool field_number(const struct field *field, uint64_t *number);
bool field_text(const struct field *field, char *text, size_t size); /* false with a NUL inside or when too long */
void add_field(struct buffer *buffer, uint8_t tag, const void *value, size_t length);
void add_number(struct buffer *buffer, uint8_t tag, uint64_t number);
void add_text(struct buffer *buffer, uint8_t tag, const char *text);

uint16_t get16(const uint8_t *bytes);
uint32_t get32(const uint8_t *bytes);
uint64_t get64(const uint8_t *bytes);
void put16(uint8_t *bytes, uint16_t number);
void put32(uint8_t *bytes, uint32_t number);
void put64(uint8_t *bytes, uint64_t number);

/* ---- session.c: frames, windows, streams */
struct session;
struct stream;

struct polls {
    struct pollfd entries[4 + STREAM_LIMIT * 4];
    nfds_t count;
    int timeout_ms;
};
int polls_add(struct polls *polls, int fd, short events); /* index, or -1 for a negative fd */
short polls_events(const struct polls *polls, int index);
void polls_within(struct polls *polls, int timeout_ms);

/* What a kind of stream does. Any member may be NULL. */
struct stream_kind_ops {
    bool (*data)(struct stream *stream, const uint8_t *bytes, size_t length); /* false: the stream has ended */
    void (*end_of_file)(struct stream *stream);
    void (*control)(struct stream *stream, struct fields fields);
    void (*reset)(struct stream *stream); /* ends the stream soon; without it it ends at once */
    void (*prepare)(struct stream *stream, struct polls *polls);
    void (*serve)(struct stream *stream, struct polls *polls);
    void (*release)(struct stream *stream); /* free everything, end everything */
};

struct stream {
    struct stream *next;
    struct session *session;
    uint32_t id;
    const struct stream_kind_ops *ops;
    void *state;
    uint32_t send_window[2];
    uint32_t receive_window; /* what the host may still send on channel 0 */
    uint32_t owed;           /* credit not given back yet */
    bool input_ended;
    bool ended;
};

struct session {
    int fd;
    bool synchronised;
    bool hung_up;
    bool failed; /* there was no memory for a frame */
    struct buffer in, out;
    struct stream *streams;
    size_t stream_count;
    const char *phase;
    uint64_t init_began_ns, init_ended_ns; /* since the kernel began; 0: we are nobody's init */
    bool (*may_open)(enum stream_kind kind);
};

void session_run(struct session *session); /* returns when a descriptor given by --serve-fd is closed */

/* ---- stream.c: what the kinds use to answer */
bool send_frame(struct session *session, uint8_t type, uint8_t flags, uint32_t id, const void *payload, size_t length);
void stream_started(struct stream *stream, const struct buffer *fields);
size_t stream_room(const struct stream *stream, int channel); /* how much may be sent now; 0: do not read */
ssize_t stream_forward(struct stream *stream, int channel, int fd); /* like read(2), of no more than there is room for */
void stream_send_end_of_file(struct stream *stream, int channel);
void stream_consumed(struct stream *stream, size_t length);
void stream_end_status(struct stream *stream, uint8_t tag, uint64_t number);
void stream_end_fields(struct stream *stream, const struct buffer *fields);
void stream_end_error(struct stream *stream, const char *kind, const char *message, int error);
void stream_end_errno(struct stream *stream, const char *message, int error);

/* How far a job is, and what became of it. Crosses from a worker to the agent as it is. */
struct outcome {
    enum { GOING_ON, BEGUN, DONE, FAILED } state;
    int error;
    char kind[16]; /* empty: `error` says it */
    char message[128];
};
void outcome_fail(struct outcome *outcome, const char *kind, const char *message, int error);
void stream_end_outcome(struct stream *stream, const struct outcome *outcome);

uint64_t boot_clock_ns(void); /* since the kernel began */

/* session tests feed bytes without a descriptor */
void session_receive(struct session *session, const uint8_t *bytes, size_t length);
void session_drop_streams(struct session *session);

/* ---- the kinds */
bool exec_open(struct stream *stream, struct fields fields);
bool put_open(struct stream *stream, struct fields fields);
bool get_open(struct stream *stream, struct fields fields);
bool connect_open(struct stream *stream, struct fields fields);
bool info_open(struct stream *stream, struct fields fields);
bool shutdown_open(struct stream *stream, struct fields fields);
bool sync_open(struct stream *stream, struct fields fields);
bool archive_open(struct stream *stream, struct fields fields);

/* A program as an exec's OPEN describes it, without a stream: nothing to read, and its output to `output`. -1: none. */
pid_t exec_apart(struct fields fields, int output);

/* ---- entrypoint.c: the program that an image without init is made for */
void entrypoint_read(const char *path); /* remembers it; a seed without it asks for none */
void entrypoint_start(void);
void entrypoint_end(void); /* its own signal, and some time */

/* ---- worker.c: what may wait for a disk, in a process of its own */
struct job {
    const char *name; /* of the process: proc(5) has room for 15 bytes */
    /* In the worker. It goes on for as long as `outcome` says so; `end` is called whatever that says. */
    void (*begin)(void *state, struct outcome *outcome);
    void (*take)(void *state, const uint8_t *bytes, size_t length, struct outcome *outcome); /* what the host sends */
    struct buffer *(*give)(void *state, struct outcome *outcome); /* what goes to the host next */
    void (*end)(void *state, const struct outcome *outcome);
    void (*mend)(void *state); /* in another one, when it was killed. Who has this is asked to end, and not killed */
    /* In the agent, when the stream ends by itself. */
    void (*ended)(void);
};
void worker_open(struct stream *stream, const struct job *job, void *state); /* frees `state` when the stream ends */
bool worker_stopped(void);      /* in the worker: was it asked to end? */
void workers_stop(int number);  /* a signal to all that read and write files for the host */

/* ---- children.c: who ended */
void children_begin(void);           /* SIGCHLD arrives on a pipe */
int children_fd(void);
void children_reap(void);            /* also orphans, when we are PID 1 */
bool children_ended(pid_t pid, int *status);
void children_forget(pid_t pid);
void children_watch(pid_t pid);
void forgo_sparing(void);            /* in a child: the kernel spares the agent when memory is short, not its children */

/* ---- paths.c: opening below a directory without following links */
int open_parent(int directory, const char *path, const char **name);
bool path_valid(const char *path, size_t length);
int make_directories(const char *path); /* absolute; like mkdir -p; 0 or -1 */
void remove_tree(int parent, const char *name); /* a file, link or directory with all that is below it */

/* ---- links.c: the path that an inode had first */
struct links {
    struct link {
        uint64_t device, inode;
        char *path;
    } *table;
    size_t count, capacity;
};
/* `first` is NULL for one that is seen for the first time, here as `path`. False when there is no memory. */
bool links_see(struct links *links, const struct stat *status, const char *path, const char **first);
void links_free(struct links *links);

/* ---- pax.c: members of an archive */
enum { PAX_BLOCK = 512 };
struct pax {
    struct buffer out, records; /* the records are those of the next member */
    bool failed;                /* there was no memory */
};
void pax_record(struct pax *pax, const char *key, const void *value, size_t length);
void pax_number(struct pax *pax, const char *key, uint64_t number);
void pax_member(struct pax *pax, const char *name, char kind, const struct stat *status, uint64_t size,
                const char *target);
void pax_bytes(struct pax *pax, const void *bytes, size_t length);
void pax_zeros(struct pax *pax, size_t length);
size_t pax_padding(uint64_t size); /* what fills the last block */

/* ---- populate.c */
int populate(int image, const char *path, int parent, const char *name);

/* ---- poweroff.c */
extern int pid1_mode; /* 1: we are PID 1 and stay it; 0: some init is; -1: serving a descriptor on any host */
void finish_shutdown(void); /* called from the loop when the answer is out */
void shutdown_prepare(struct polls *polls);
void shutdown_serve(void);
extern bool shutdown_pending;

/* ---- init.c */
int run_as_init(void);
int open_channel(const char *channel);
int find_disk(const char *serial, char *device, size_t size); /* its name, by its serial number; 0 or -1 */

#endif
