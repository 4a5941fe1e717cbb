/* A TCP connection from inside the guest. */
#include "agent.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct connection {
    int fd, poll;
    bool connected, input_ended, output_ended;
    struct buffer pending;
};

static const struct stream_kind_ops ops;

bool connect_open(struct stream *stream, struct fields fields) {
    char address[64] = "127.0.0.1";
    uint64_t port = 0;
    struct field field;
    while (fields_next(&fields, &field)) {
        if (field.tag == 10 && !field_text(&field, address, sizeof address))
            return false;
        if (field.tag == 11 && !field_number(&field, &port))
            return false;
    }
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    bool is_v4 = inet_pton(AF_INET, address, &v4.sin_addr) == 1;
    if (port == 0 || port > 65535 || (!is_v4 && inet_pton(AF_INET6, address, &v6.sin6_addr) != 1))
        return false;
    struct connection *connection = calloc(1, sizeof *connection);
    if (connection == NULL)
        return false;
    connection->poll = -1;
    connection->fd = socket(is_v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const struct sockaddr *to = is_v4 ? (const void *)&v4 : (const void *)&v6;
    stream->state = connection;
    stream->ops = &ops;
    if (connection->fd < 0 || (connect(connection->fd, to, is_v4 ? sizeof v4 : sizeof v6) != 0 && errno != EINPROGRESS))
        stream_end_errno(stream, "the connection failed", errno);
    return true;
}

static void feed(struct stream *stream, struct connection *connection) {
    while (connection->connected && connection->pending.length > 0) {
        ssize_t length =
            send(connection->fd, buffer_head(&connection->pending), connection->pending.length, MSG_NOSIGNAL);
        if (length < 0) {
            if (errno != EAGAIN && errno != EINTR) {
                stream_consumed(stream, connection->pending.length);
                buffer_drop(&connection->pending, connection->pending.length);
                connection->input_ended = true;
            }
            return;
        }
        buffer_drop(&connection->pending, (size_t)length);
        stream_consumed(stream, (size_t)length);
    }
    if (connection->connected && stream->input_ended && !connection->input_ended && connection->pending.length == 0) {
        connection->input_ended = true;
        shutdown(connection->fd, SHUT_WR);
    }
}

static bool on_data(struct stream *stream, const uint8_t *bytes, size_t length) {
    struct connection *connection = stream->state;
    if (connection->input_ended || !buffer_add(&connection->pending, bytes, length))
        stream_consumed(stream, length);
    feed(stream, connection);
    return true;
}

static void on_end_of_file(struct stream *stream) { feed(stream, stream->state); }

static void prepare(struct stream *stream, struct polls *polls) {
    struct connection *connection = stream->state;
    short events = 0;
    if (!connection->connected || connection->pending.length > 0)
        events |= POLLOUT;
    if (connection->connected && !connection->output_ended && stream_room(stream, 0) > 0)
        events |= POLLIN;
    connection->poll = events ? polls_add(polls, connection->fd, events) : -1;
}

static void finish_connecting(struct stream *stream, struct connection *connection) {
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
        error = errno;
    if (error != 0) {
        stream_end_errno(stream, "the connection failed", error);
        return;
    }
    connection->connected = true;
    stream_started(stream, NULL);
    feed(stream, connection);
}

static void serve(struct stream *stream, struct polls *polls) {
    struct connection *connection = stream->state;
    short events = polls_events(polls, connection->poll);
    if (!connection->connected) {
        if (events)
            finish_connecting(stream, connection);
        return;
    }
    if (events & (POLLOUT | POLLERR | POLLHUP))
        feed(stream, connection);
    if ((events & (POLLIN | POLLERR | POLLHUP)) && !connection->output_ended && stream_room(stream, 0) > 0) {
        ssize_t length = stream_forward(stream, 0, connection->fd);
        if (length == 0 || (length < 0 && errno != EAGAIN && errno != EINTR)) {
            connection->output_ended = true;
            if (length < 0)
                connection->input_ended = true;
            stream_send_end_of_file(stream, 0);
        }
    }
    if (connection->input_ended && connection->output_ended)
        stream_end_status(stream, 1, 0);
}

static void release(struct stream *stream) {
    struct connection *connection = stream->state;
    if (connection->fd >= 0)
        close(connection->fd);
    buffer_free(&connection->pending);
    free(connection);
}

static const struct stream_kind_ops ops = {
    .data = on_data,
    .end_of_file = on_end_of_file,
    .prepare = prepare,
    .serve = serve,
    .release = release,
};
