#include "agent.h"

#include <stdlib.h>
#include <string.h>

uint8_t *buffer_room(struct buffer *buffer, size_t length) {
    if (buffer->start + buffer->length + length > buffer->capacity) {
        if (buffer->start > 0) {
            memmove(buffer->bytes, buffer->bytes + buffer->start, buffer->length);
            buffer->start = 0;
        }
        if (buffer->length + length > buffer->capacity) {
            size_t capacity = buffer->capacity ? buffer->capacity : 4096;
            while (capacity < buffer->length + length)
                capacity *= 2;
            uint8_t *bytes = realloc(buffer->bytes, capacity);
            if (bytes == NULL)
                return NULL;
            buffer->bytes = bytes;
            buffer->capacity = capacity;
        }
    }
    return buffer->bytes + buffer->start + buffer->length;
}

bool buffer_add(struct buffer *buffer, const void *bytes, size_t length) {
    if (length == 0)
        return true;
    uint8_t *room = buffer_room(buffer, length);
    if (room == NULL)
        return false;
    memcpy(room, bytes, length);
    buffer->length += length;
    return true;
}

void buffer_drop(struct buffer *buffer, size_t length) {
    buffer->start += length;
    buffer->length -= length;
    if (buffer->length == 0)
        buffer->start = 0;
}

void buffer_free(struct buffer *buffer) {
    free(buffer->bytes);
    *buffer = (struct buffer){0};
}
