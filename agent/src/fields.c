#include "agent.h"

#include <string.h>

uint16_t get16(const uint8_t *bytes) { return (uint16_t)(bytes[0] | bytes[1] << 8); }
uint32_t get32(const uint8_t *bytes) { return get16(bytes) | (uint32_t)get16(bytes + 2) << 16; }
uint64_t get64(const uint8_t *bytes) { return get32(bytes) | (uint64_t)get32(bytes + 4) << 32; }

void put16(uint8_t *bytes, uint16_t number) {
    bytes[0] = (uint8_t)number;
    bytes[1] = (uint8_t)(number >> 8);
}

void put32(uint8_t *bytes, uint32_t number) {
    put16(bytes, (uint16_t)number);
    put16(bytes + 2, (uint16_t)(number >> 16));
}

void put64(uint8_t *bytes, uint64_t number) {
    put32(bytes, (uint32_t)number);
    put32(bytes + 4, (uint32_t)(number >> 32));
}

bool fields_next(struct fields *fields, struct field *field) {
    if (fields->length < 5)
        return false;
    uint32_t length = get32(fields->bytes + 1);
    if (length > fields->length - 5)
        return false;
    *field = (struct field){.tag = fields->bytes[0], .length = length, .value = fields->bytes + 5};
    fields->bytes += 5 + (size_t)length;
    fields->length -= 5 + (size_t)length;
    return true;
}

bool fields_valid(struct fields fields) {
    struct field field;
    while (fields_next(&fields, &field)) {
    }
    return fields.length == 0;
}

bool field_number(const struct field *field, uint64_t *number) {
    if (field->length != 8)
        return false;
    *number = get64(field->value);
    return true;
}

bool field_text(const struct field *field, char *text, size_t size) {
    if (field->length >= size || memchr(field->value, 0, field->length) != NULL)
        return false;
    memcpy(text, field->value, field->length);
    text[field->length] = 0;
    return true;
}

void add_field(struct buffer *buffer, uint8_t tag, const void *value, size_t length) {
    uint8_t head[5] = {tag};
    put32(head + 1, (uint32_t)length);
    if (buffer_room(buffer, sizeof head + length) == NULL)
        return;
    buffer_add(buffer, head, sizeof head);
    buffer_add(buffer, value, length);
}

void add_number(struct buffer *buffer, uint8_t tag, uint64_t number) {
    uint8_t value[8];
    put64(value, number);
    add_field(buffer, tag, value, sizeof value);
}

void add_text(struct buffer *buffer, uint8_t tag, const char *text) { add_field(buffer, tag, text, strlen(text)); }
