/* What the kinds of stream use to answer: frames, windows, the end. */
#include "agent.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { CREDIT_STEP = 65536 };

static void write_header(uint8_t *place, uint8_t type, uint8_t flags, uint32_t id, size_t length) {
    place[0] = type;
    place[1] = flags;
    put16(place + 2, (uint16_t)(0xb35a ^ type ^ flags << 8));
    put32(place + 4, id);
    put32(place + 8, (uint32_t)length);
}

/* Where the next frame goes; NULL, and a session that has failed, when there is no memory for it: a stream with a hole
 * in it is worse than none. */
static uint8_t *frame_room(struct session *session, size_t length) {
    uint8_t *place = buffer_room(&session->out, HEADER_SIZE + length);
    if (place == NULL)
        session->failed = true;
    return place;
}

bool send_frame(struct session *session, uint8_t type, uint8_t flags, uint32_t id, const void *payload, size_t length) {
    uint8_t *place = frame_room(session, length);
    if (place == NULL)
        return false;
    write_header(place, type, flags, id, length);
    if (length > 0)
        memcpy(place + HEADER_SIZE, payload, length);
    session->out.length += HEADER_SIZE + length;
    return true;
}

void stream_started(struct stream *stream, const struct buffer *fields) {
    send_frame(stream->session, STARTED, 0, stream->id, fields ? buffer_head(fields) : NULL,
               fields ? fields->length : 0);
}

size_t stream_room(const struct stream *stream, int channel) {
    if (stream->ended || stream->session->out.length >= OUT_HIGH)
        return 0;
    size_t window = stream->send_window[channel];
    return window < FRAME_LIMIT ? window : FRAME_LIMIT;
}

ssize_t stream_forward(struct stream *stream, int channel, int fd) {
    size_t room = stream_room(stream, channel);
    uint8_t *place = frame_room(stream->session, room);
    if (place == NULL) {
        errno = ENOMEM;
        return -1;
    }
    ssize_t length = read(fd, place + HEADER_SIZE, room);
    if (length > 0) {
        write_header(place, DATA, (uint8_t)channel, stream->id, (size_t)length);
        stream->send_window[channel] -= (uint32_t)length;
        stream->session->out.length += HEADER_SIZE + (size_t)length;
    }
    return length;
}

void stream_send_end_of_file(struct stream *stream, int channel) {
    send_frame(stream->session, END_OF_FILE, (uint8_t)channel, stream->id, NULL, 0);
}

void stream_consumed(struct stream *stream, size_t length) {
    stream->owed += (uint32_t)length;
    if (stream->ended || stream->owed < CREDIT_STEP)
        return;
    uint8_t credit[4];
    put32(credit, stream->owed);
    stream->receive_window += stream->owed;
    stream->owed = 0;
    send_frame(stream->session, WINDOW, 0, stream->id, credit, sizeof credit);
}

void stream_end_fields(struct stream *stream, const struct buffer *fields) {
    if (stream->ended)
        return;
    stream->ended = true;
    send_frame(stream->session, END, 0, stream->id, buffer_head(fields), fields->length);
}

void stream_end_status(struct stream *stream, uint8_t tag, uint64_t number) {
    struct buffer fields = {0};
    add_number(&fields, tag, number);
    stream_end_fields(stream, &fields);
    buffer_free(&fields);
}

void stream_end_error(struct stream *stream, const char *kind, const char *message, int error) {
    struct buffer fields = {0};
    add_text(&fields, 3, kind);
    add_text(&fields, 4, message);
    add_number(&fields, 5, (uint64_t)error);
    stream_end_fields(stream, &fields);
    buffer_free(&fields);
}

void stream_end_errno(struct stream *stream, const char *message, int error) {
    const char *kind = "failed";
    if (error == ENOENT || error == ENOTDIR)
        kind = "not_found";
    else if (error == EACCES || error == EPERM || error == ECONNREFUSED)
        kind = "denied";
    else if (error == EINVAL || error == ELOOP || error == ENAMETOOLONG)
        kind = "invalid";
    char text[256];
    size_t used = strlen(message);
    const char *reason = strerror(error);
    if (used + 2 + strlen(reason) < sizeof text) {
        memcpy(text, message, used);
        memcpy(text + used, ": ", 2);
        strcpy(text + used + 2, reason);
        message = text;
    }
    stream_end_error(stream, kind, message, error);
}

void outcome_fail(struct outcome *outcome, const char *kind, const char *message, int error) {
    if (outcome->state == FAILED)
        return; /* what went wrong first is the reason */
    *outcome = (struct outcome){.state = FAILED, .error = error};
    snprintf(outcome->kind, sizeof outcome->kind, "%s", kind);
    snprintf(outcome->message, sizeof outcome->message, "%s", message);
}

void stream_end_outcome(struct stream *stream, const struct outcome *outcome) {
    if (outcome->state == DONE)
        stream_end_status(stream, 1, 0);
    else if (outcome->kind[0] != 0)
        stream_end_error(stream, outcome->kind, outcome->message, outcome->error);
    else
        stream_end_errno(stream, outcome->message, outcome->error);
}
