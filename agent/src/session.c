/* One session with the host: synchronisation, frames, windows and the streams. */
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifndef BUILD_ID
#define BUILD_ID "development"
#endif

static const char SYNC_HOST[16] = {'b', 'a', 'n', 'g', 'e', 'r', '-', 's', 'y', 'n', 'c', '-', 'h', 'o', 's', 't'};
static const char SYNC_PEER[16] = {'b', 'a', 'n', 'g', 'e', 'r', '-', 's', 'y', 'n', 'c', '-', 'p', 'e', 'e', 'r'};
enum { NONCE_SIZE = 16, SYNC_SIZE = 32, HUNG_UP_POLL_MS = 20 };

int polls_add(struct polls *polls, int fd, short events) {
    if (fd < 0 || polls->count == sizeof polls->entries / sizeof *polls->entries)
        return -1;
    polls->entries[polls->count] = (struct pollfd){.fd = fd, .events = events};
    return (int)polls->count++;
}

short polls_events(const struct polls *polls, int index) { return index < 0 ? 0 : polls->entries[index].revents; }

void polls_within(struct polls *polls, int timeout_ms) {
    if (polls->timeout_ms < 0 || timeout_ms < polls->timeout_ms)
        polls->timeout_ms = timeout_ms;
}

/* ---- streams */

static struct stream *find_stream(struct session *session, uint32_t id) {
    for (struct stream *stream = session->streams; stream != NULL; stream = stream->next)
        if (stream->id == id && !stream->ended)
            return stream;
    return NULL;
}

static void free_stream(struct stream *stream) {
    if (stream->ops != NULL && stream->ops->release != NULL)
        stream->ops->release(stream);
    free(stream);
}

static void free_ended_streams(struct session *session) {
    for (struct stream **link = &session->streams; *link != NULL;) {
        struct stream *stream = *link;
        if (stream->ended) {
            *link = stream->next;
            session->stream_count--;
            free_stream(stream);
        } else {
            link = &stream->next;
        }
    }
}

void session_drop_streams(struct session *session) {
    for (struct stream *stream = session->streams; stream != NULL; stream = stream->next)
        stream->ended = true;
    free_ended_streams(session);
}

static void lose_session(struct session *session) {
    session->synchronised = session->failed = false;
    session_drop_streams(session);
    buffer_drop(&session->out, session->out.length);
}

static bool open_kind(struct stream *stream, enum stream_kind kind, struct fields fields) {
    switch (kind) {
    case EXEC: return exec_open(stream, fields);
    case PUT: return put_open(stream, fields);
    case GET: return get_open(stream, fields);
    case CONNECT: return connect_open(stream, fields);
    case INFO: return info_open(stream, fields);
    case SHUTDOWN: return shutdown_open(stream, fields);
    case SYNC: return sync_open(stream, fields);
    case ARCHIVE: return archive_open(stream, fields);
    }
    return false;
}

static bool handle_open(struct session *session, uint32_t id, struct fields fields) {
    if (id == 0 || find_stream(session, id) != NULL || !fields_valid(fields))
        return false;
    struct stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL)
        return false;
    *stream = (struct stream){.next = session->streams,
                              .session = session,
                              .id = id,
                              .send_window = {WINDOW_SIZE, WINDOW_SIZE},
                              .receive_window = WINDOW_SIZE};
    session->streams = stream;
    session->stream_count++;
    uint64_t kind = 0;
    struct field field;
    struct fields rest = fields;
    while (fields_next(&rest, &field))
        if (field.tag == 1 && field.length == 1)
            kind = field.value[0];
    if (session->stream_count > STREAM_LIMIT)
        stream_end_error(stream, "failed", "too many streams", EMFILE);
    else if (kind < EXEC || kind > ARCHIVE)
        stream_end_error(stream, "unsupported", "unknown kind of stream", 0);
    else if (session->may_open != NULL && !session->may_open((enum stream_kind)kind))
        stream_end_error(stream, "unsupported", "the guest did not finish booting", 0);
    else if (!open_kind(stream, (enum stream_kind)kind, fields) && !stream->ended)
        stream_end_error(stream, "invalid", "a field is missing or malformed", EINVAL);
    return true;
}

static bool handle_data(struct stream *stream, uint8_t channel, const uint8_t *bytes, size_t length) {
    if (channel != 0 || length > stream->receive_window || stream->input_ended)
        return false;
    stream->receive_window -= (uint32_t)length;
    if (stream->ops == NULL || stream->ops->data == NULL)
        return false;
    if (length > 0)
        stream->ops->data(stream, bytes, length);
    return true;
}

static bool handle_window(struct stream *stream, uint8_t channel, const uint8_t *bytes, size_t length) {
    if (channel > 1 || length != 4)
        return false;
    uint32_t credit = get32(bytes);
    if (credit > WINDOW_SIZE - stream->send_window[channel])
        return false;
    stream->send_window[channel] += credit;
    return true;
}

static bool handle_session_frame(struct session *session, uint8_t type, const uint8_t *payload, size_t length) {
    struct fields fields = {payload, length};
    struct field field;
    uint64_t number;
    if (type == PING && length <= 64)
        return send_frame(session, PONG, 0, 0, payload, length);
    if (type != HELLO || !fields_valid(fields))
        return false;
    while (fields_next(&fields, &field)) {
        if (field.tag == 1 && (!field_number(&field, &number) || number != VERSION))
            return false;
        if (field.tag == 2 && field_number(&field, &number) && getpid() == 1) {
            struct timespec now;
            clock_gettime(CLOCK_REALTIME, &now);
            if ((uint64_t)now.tv_sec + 2 < number / 1000000000u) {
                now = (struct timespec){(time_t)(number / 1000000000u), (long)(number % 1000000000u)};
                clock_settime(CLOCK_REALTIME, &now);
            }
        }
    }
    return true;
}

/* False ends the session: the host is out of step or breaks the rules. A stream that the host does not know to have
 * ended yet may still get frames; those are dropped. */
static bool handle_frame(struct session *session, uint8_t type, uint8_t flags, uint32_t id, const uint8_t *payload,
                         size_t length) {
    if (id == 0)
        return handle_session_frame(session, type, payload, length);
    if (type == OPEN)
        return handle_open(session, id, (struct fields){payload, length});
    struct stream *stream = find_stream(session, id);
    if (type < DATA || type > RESET || type == STARTED || type == END)
        return false;
    if (stream == NULL)
        return true;
    switch (type) {
    case DATA: return handle_data(stream, flags, payload, length);
    case WINDOW: return handle_window(stream, flags, payload, length);
    case END_OF_FILE:
        if (flags != 0 || length != 0)
            return false;
        if (!stream->input_ended && stream->ops != NULL && stream->ops->end_of_file != NULL) {
            stream->input_ended = true;
            stream->ops->end_of_file(stream);
        }
        return true;
    case CONTROL:
        if (!fields_valid((struct fields){payload, length}))
            return false;
        if (stream->ops != NULL && stream->ops->control != NULL)
            stream->ops->control(stream, (struct fields){payload, length});
        return true;
    default: /* RESET */
        if (stream->ops != NULL && stream->ops->reset != NULL)
            stream->ops->reset(stream);
        else
            stream_end_error(stream, "failed", "given up by the host", ECANCELED);
        return true;
    }
}

uint64_t boot_clock_ns(void) {
    struct timespec now = {0};
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void send_hello(struct session *session) {
    char boot_id[40] = "";
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t length = read(fd, boot_id, 36);
        boot_id[length > 0 ? length : 0] = 0;
        close(fd);
    }
    struct buffer fields = {0};
    add_number(&fields, 1, VERSION);
    add_text(&fields, 3, BUILD_ID);
    add_text(&fields, 4, boot_id);
    add_text(&fields, 5, session->phase);
    if (session->init_ended_ns != 0) {
        add_number(&fields, 6, session->init_began_ns);
        add_number(&fields, 7, session->init_ended_ns);
        add_number(&fields, 8, boot_clock_ns());
    }
    send_frame(session, HELLO, 0, 0, buffer_head(&fields), fields.length);
    buffer_free(&fields);
}

/* Throw away everything up to the host's magic; true when the session is synchronised. */
static bool synchronise(struct session *session) {
    struct buffer *in = &session->in;
    const uint8_t *found = in->length ? memmem(buffer_head(in), in->length, SYNC_HOST, sizeof SYNC_HOST) : NULL;
    if (found == NULL) {
        if (in->length >= sizeof SYNC_HOST)
            buffer_drop(in, in->length - (sizeof SYNC_HOST - 1));
        return false;
    }
    buffer_drop(in, (size_t)(found - buffer_head(in)));
    if (in->length < SYNC_SIZE)
        return false;
    uint8_t answer[SYNC_SIZE];
    memcpy(answer, SYNC_PEER, sizeof SYNC_PEER);
    memcpy(answer + sizeof SYNC_PEER, buffer_head(in) + sizeof SYNC_HOST, NONCE_SIZE);
    buffer_drop(in, SYNC_SIZE);
    lose_session(session);
    session->synchronised = true;
    buffer_add(&session->out, answer, sizeof answer);
    send_hello(session);
    return true;
}

static void handle_input(struct session *session) {
    struct buffer *in = &session->in;
    for (;;) {
        if (!session->synchronised && !synchronise(session))
            return;
        if (in->length < HEADER_SIZE)
            return;
        const uint8_t *head = buffer_head(in);
        uint8_t type = head[0], flags = head[1];
        uint32_t id = get32(head + 4), length = get32(head + 8);
        if (get16(head + 2) != (uint16_t)(0xb35a ^ type ^ flags << 8) || length > FRAME_LIMIT) {
            lose_session(session);
            continue; /* the bytes are searched for a new beginning */
        }
        if (in->length < HEADER_SIZE + (size_t)length)
            return;
        bool fits = handle_frame(session, type, flags, id, head + HEADER_SIZE, length);
        buffer_drop(in, HEADER_SIZE + (size_t)length);
        if (!fits)
            lose_session(session);
    }
}

void session_receive(struct session *session, const uint8_t *bytes, size_t length) {
    if (buffer_add(&session->in, bytes, length))
        handle_input(session);
}

/* ---- the loop */

static bool read_input(struct session *session) {
    enum { CHUNK = FRAME_LIMIT };
    uint8_t *room = buffer_room(&session->in, CHUNK);
    if (room == NULL)
        return true;
    ssize_t length = read(session->fd, room, CHUNK);
    if (length > 0) {
        session->hung_up = false;
        session->in.length += (size_t)length;
        handle_input(session);
        return true;
    }
    return length < 0 && (errno == EAGAIN || errno == EINTR);
}

static bool write_output(struct session *session) {
    while (session->out.length > 0) {
        ssize_t length = write(session->fd, buffer_head(&session->out), session->out.length);
        if (length < 0)
            return errno == EAGAIN || errno == EINTR;
        buffer_drop(&session->out, (size_t)length);
    }
    return true;
}

static void serve_streams(struct session *session, struct polls *polls) {
    for (struct stream *stream = session->streams; stream != NULL; stream = stream->next)
        if (!stream->ended && stream->ops != NULL && stream->ops->serve != NULL)
            stream->ops->serve(stream, polls);
    free_ended_streams(session);
    /* The first stream goes last: with little room in the output, everyone has a turn at being first. */
    if (session->streams != NULL && session->streams->next != NULL) {
        struct stream *first = session->streams, *last = first;
        while (last->next != NULL)
            last = last->next;
        session->streams = first->next;
        first->next = NULL;
        last->next = first;
    }
}

void session_run(struct session *session) {
    static struct polls polls;
    for (;;) {
        polls.count = 0;
        polls.timeout_ms = -1;
        short events = (short)(POLLIN | (session->out.length > 0 ? POLLOUT : 0));
        int channel = session->hung_up ? -1 : polls_add(&polls, session->fd, events);
        int signals = polls_add(&polls, children_fd(), POLLIN);
        if (session->hung_up)
            polls_within(&polls, HUNG_UP_POLL_MS);
        shutdown_prepare(&polls);
        for (struct stream *stream = session->streams; stream != NULL; stream = stream->next)
            if (!stream->ended && stream->ops != NULL && stream->ops->prepare != NULL)
                stream->ops->prepare(stream, &polls);
        if (poll(polls.entries, polls.count, polls.timeout_ms) < 0 && errno != EINTR)
            return;
        if (polls_events(&polls, signals))
            children_reap();
        short ready = polls_events(&polls, channel);
        bool alive = true;
        if (session->hung_up) {
            struct pollfd again = {.fd = session->fd, .events = POLLIN};
            if (poll(&again, 1, 0) > 0 && !(again.revents & POLLHUP))
                session->hung_up = false;
        }
        if (ready & (POLLIN | POLLHUP | POLLERR))
            alive = read_input(session);
        if (alive && !session->hung_up)
            serve_streams(session, &polls);
        if (alive && session->out.length > 0)
            alive = write_output(session);
        alive = alive && !session->failed;
        if (!alive || (ready & (POLLHUP | POLLIN)) == POLLHUP) {
            if (pid1_mode < 0)
                return; /* the other end is gone for good */
            session->hung_up = true;
            buffer_drop(&session->in, session->in.length);
            lose_session(session);
        }
        if (shutdown_pending && session->out.length == 0)
            finish_shutdown();
        shutdown_serve();
    }
}
