/* Members of a pax archive: ustar headers, and records before them for what those cannot hold. */
#include "agent.h"

#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

enum { NAME_SIZE = 100 };

static void add(struct pax *pax, struct buffer *buffer, const void *bytes, size_t length) {
    if (!buffer_add(buffer, bytes, length))
        pax->failed = true;
}

void pax_bytes(struct pax *pax, const void *bytes, size_t length) { add(pax, &pax->out, bytes, length); }

void pax_zeros(struct pax *pax, size_t length) {
    static const uint8_t zeros[PAX_BLOCK];
    for (size_t part; length > 0; length -= part) {
        part = length < PAX_BLOCK ? length : PAX_BLOCK;
        pax_bytes(pax, zeros, part);
    }
}

size_t pax_padding(uint64_t size) { return (size_t)(-size % PAX_BLOCK); }

/* `LENGTH KEY=VALUE`, where the length counts its own digits too. */
void pax_record(struct pax *pax, const char *key, const void *value, size_t length) {
    size_t rest = strlen(key) + length + 3; /* blank, equals sign, line end */
    size_t whole = rest + 1;
    char number[24];
    while ((size_t)snprintf(number, sizeof number, "%zu", whole) + rest != whole)
        whole++;
    add(pax, &pax->records, number, strlen(number));
    add(pax, &pax->records, " ", 1);
    add(pax, &pax->records, key, strlen(key));
    add(pax, &pax->records, "=", 1);
    add(pax, &pax->records, value, length);
    add(pax, &pax->records, "\n", 1);
}

void pax_number(struct pax *pax, const char *key, uint64_t number) {
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    pax_record(pax, key, text, strlen(text));
}

/* False when the field has not enough octal digits. */
static bool put_octal(uint8_t *field, size_t size, uint64_t number) {
    char text[32];
    snprintf(text, sizeof text, "%0*llo", (int)size - 1, (unsigned long long)number);
    bool fits = strlen(text) == size - 1;
    if (fits)
        memcpy(field, text, size);
    return fits;
}

static void add_block(struct pax *pax, uint8_t *header) {
    memcpy(header + 257, "ustar\00000", 8);
    memset(header + 148, ' ', 8);
    unsigned sum = 0;
    for (int i = 0; i < PAX_BLOCK; i++)
        sum += header[i];
    put_octal(header + 148, 7, sum);
    pax_bytes(pax, header, PAX_BLOCK);
}

static void put_text(struct pax *pax, uint8_t *field, const char *key, const char *text) {
    size_t length = strlen(text);
    if (length > NAME_SIZE)
        pax_record(pax, key, text, length);
    memcpy(field, text, length < NAME_SIZE ? length : NAME_SIZE);
}

static void put_time(struct pax *pax, uint8_t *field, const struct timespec *time) {
    bool fits = time->tv_sec >= 0 && put_octal(field, 12, (uint64_t)time->tv_sec);
    if (fits && time->tv_nsec == 0)
        return;
    long long seconds = time->tv_sec;
    long nanoseconds = time->tv_nsec;
    if (seconds < 0 && nanoseconds > 0) { /* -1.25 is what the kernel keeps as -2 and 750000000 */
        seconds += 1;
        nanoseconds = 1000000000L - nanoseconds;
    }
    char text[48];
    bool negative = time->tv_sec < 0;
    snprintf(text, sizeof text, "%s%lld.%09ld", negative ? "-" : "", negative ? -seconds : seconds, nanoseconds);
    pax_record(pax, "mtime", text, strlen(text));
}

/* What a tar header cannot hold goes into records before it. Those that are there already stay with this member. */
void pax_member(struct pax *pax, const char *name, char kind, const struct stat *status, uint64_t size,
                const char *target) {
    uint8_t header[PAX_BLOCK] = {0};
    put_text(pax, header, "path", name);
    put_octal(header + 100, 8, status->st_mode & 07777);
    if (!put_octal(header + 108, 8, status->st_uid))
        pax_number(pax, "uid", status->st_uid);
    if (!put_octal(header + 116, 8, status->st_gid))
        pax_number(pax, "gid", status->st_gid);
    if (!put_octal(header + 124, 12, size))
        pax_number(pax, "size", size);
    put_time(pax, header + 136, &status->st_mtim);
    header[156] = (uint8_t)kind;
    put_text(pax, header + 157, "linkpath", target);
    if (kind == '3' || kind == '4') {
        put_octal(header + 329, 8, major(status->st_rdev));
        put_octal(header + 337, 8, minor(status->st_rdev));
    }
    if (pax->records.length > 0) {
        uint8_t extended[PAX_BLOCK] = "pax";
        put_octal(extended + 100, 8, 0600);
        put_octal(extended + 124, 12, pax->records.length);
        extended[156] = 'x';
        add_block(pax, extended);
        pax_bytes(pax, buffer_head(&pax->records), pax->records.length);
        pax_zeros(pax, pax_padding(pax->records.length));
        buffer_drop(&pax->records, pax->records.length);
    }
    add_block(pax, header);
}
