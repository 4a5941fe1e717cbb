/* Writing a file tree that the host sends. */
#include "agent.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <dirent.h>
#include <unistd.h>

enum { RECORD_SIZE = 37, TARGET_LIMIT = 4095, NAME_SIZE = 256 };
enum { FLAG_FRESH = 1, FLAG_OWNERS = 2, FLAG_REPLACE = 4, EXCHANGE = 2 /* renameat2(2) */ };

struct record {
    char kind;
    uint32_t mode, uid, gid;
    int64_t seconds;
    uint32_t nanoseconds;
    uint64_t size;
    char path[PATH_SIZE];
};

/* A directory gets its mode and time when all below it is written: they would forbid or change it. */
struct late {
    struct late *next;
    uint32_t mode, uid, gid;
    struct timespec time;
    char path[];
};

struct put {
    int root;
    bool keep_owners, replace, have_record, tree_ended;
    char partial[NAME_SIZE], final[NAME_SIZE]; /* or empty: nothing is renamed */
    struct record record;
    uint64_t left;
    int file;
    struct buffer head, target;
    struct late *late;
    int parent;                  /* the directory of the last record, which the next one often shares */
    char parent_path[PATH_SIZE];
};

static const struct stream_kind_ops ops;

static bool is_empty(int directory) {
    int copy = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *listing = copy < 0 ? NULL : fdopendir(copy);
    if (listing == NULL)
        return false;
    int count = 0;
    while (count <= 2 && readdir(listing) != NULL)
        count++;
    closedir(listing);
    return count <= 2;
}

/* A file, link or directory with all that is below it. The name is never followed. */
static void remove_tree(int parent, const char *name) {
    if (unlinkat(parent, name, 0) == 0 || errno != EISDIR)
        return;
    int directory = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *listing = directory < 0 ? NULL : fdopendir(directory);
    if (listing == NULL) {
        if (directory >= 0)
            close(directory);
        return;
    }
    for (struct dirent *entry; (entry = readdir(listing)) != NULL;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            remove_tree(directory, entry->d_name);
    closedir(listing);
    unlinkat(parent, name, AT_REMOVEDIR);
}

static bool name_valid(const char *name) {
    return path_valid(name, strlen(name)) && strchr(name, '/') == NULL;
}

bool put_open(struct stream *stream, struct fields fields) {
    char destination[PATH_SIZE] = "", partial[NAME_SIZE] = "", final[NAME_SIZE] = "";
    uint64_t flags = 0;
    struct field field;
    while (fields_next(&fields, &field)) {
        if (field.tag == 12 && (!field_text(&field, partial, sizeof partial) || !name_valid(partial)))
            return false;
        if (field.tag == 13 && (!field_text(&field, final, sizeof final) || !name_valid(final)))
            return false;
        if (field.tag == 10 && !field_text(&field, destination, sizeof destination))
            return false;
        if (field.tag == 11 && !field_number(&field, &flags))
            return false;
    }
    if (destination[0] != '/' || (partial[0] == 0) != (final[0] == 0) || (final[0] != 0 && strcmp(partial, final) == 0))
        return false;
    struct put *put = calloc(1, sizeof *put);
    if (put == NULL)
        return false;
    put->file = put->parent = put->root = -1;
    put->keep_owners = flags & FLAG_OWNERS;
    put->replace = flags & FLAG_REPLACE;
    memcpy(put->partial, partial, sizeof partial);
    memcpy(put->final, final, sizeof final);
    stream->state = put;
    stream->ops = &ops;
    if (make_directories(destination) != 0 ||
        (put->root = open(destination, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        stream_end_errno(stream, "the destination cannot be made", errno);
    else if ((flags & FLAG_FRESH) && !is_empty(put->root))
        stream_end_error(stream, "invalid", "the destination is not empty", ENOTEMPTY);
    else
        stream_started(stream, NULL);
    return true;
}

static int find_parent(struct put *put, const char **name) {
    const char *path = put->record.path;
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) : 0;
    *name = slash ? slash + 1 : path;
    if (put->parent >= 0 && strlen(put->parent_path) == length && memcmp(put->parent_path, path, length) == 0)
        return put->parent;
    if (put->parent >= 0)
        close(put->parent);
    put->parent = open_parent(put->root, path, name);
    memcpy(put->parent_path, path, length);
    put->parent_path[length] = 0;
    return put->parent;
}

static bool fail(struct stream *stream, const char *message) {
    stream_end_errno(stream, message, errno);
    return false;
}

static void set_owner_and_time(struct put *put, int parent, const char *name) {
    const struct record *record = &put->record;
    if (put->keep_owners && fchownat(parent, name, record->uid, record->gid, AT_SYMLINK_NOFOLLOW) != 0)
        return;
    if (record->kind == 'f' && (record->mode & 06000))
        fchmodat(parent, name, record->mode & 07777, 0);
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {(time_t)record->seconds, (long)record->nanoseconds}};
    utimensat(parent, name, times, AT_SYMLINK_NOFOLLOW);
}

static bool remember_directory(struct put *put) {
    size_t length = strlen(put->record.path);
    struct late *late = malloc(sizeof *late + length + 1);
    if (late == NULL)
        return false;
    *late = (struct late){.next = put->late,
                          .mode = put->record.mode,
                          .uid = put->record.uid,
                          .gid = put->record.gid,
                          .time = {(time_t)put->record.seconds, (long)put->record.nanoseconds}};
    memcpy(late->path, put->record.path, length + 1);
    put->late = late;
    return true;
}

/* A regular file is written beside nothing: it replaces what was there, which is removed first. */
static bool begin_record(struct stream *stream, struct put *put) {
    const char *name;
    int parent = find_parent(put, &name);
    if (parent < 0)
        return fail(stream, "a parent directory is missing or a link");
    put->left = put->record.size;
    switch (put->record.kind) {
    case 'd':
        if (mkdirat(parent, name, 0700) != 0) {
            struct stat status;
            if (errno != EEXIST || fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) != 0 ||
                !S_ISDIR(status.st_mode)) {
                errno = EEXIST;
                return fail(stream, "a directory cannot be made");
            }
        }
        return remember_directory(put) || fail(stream, "no memory");
    case 'f':
        if (unlinkat(parent, name, 0) != 0 && errno != ENOENT)
            return fail(stream, "a file cannot be replaced");
        put->file = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, put->record.mode & 0777);
        if (put->file < 0)
            return fail(stream, "a file cannot be written");
        fchmod(put->file, put->record.mode & 0777);
        return true;
    default: /* links: the target is collected first */
        if (put->record.size == 0 || put->record.size > TARGET_LIMIT) {
            errno = EINVAL;
            return fail(stream, "a link has no usable target");
        }
        return true;
    }
}

static bool finish_link(struct stream *stream, struct put *put, int parent, const char *name) {
    char target[TARGET_LIMIT + 1];
    size_t length = put->target.length;
    memcpy(target, buffer_head(&put->target), length);
    target[length] = 0;
    buffer_drop(&put->target, length);
    errno = EINVAL;
    if (memchr(target, 0, length) != NULL)
        return fail(stream, "a link's target has a NUL");
    if (unlinkat(parent, name, 0) != 0 && errno != ENOENT)
        return fail(stream, "a link cannot be replaced");
    if (put->record.kind == 'l')
        return symlinkat(target, parent, name) == 0 || fail(stream, "a symbolic link cannot be made");
    errno = EINVAL;
    if (!path_valid(target, length))
        return fail(stream, "a hard link's target is not a path of this tree");
    const char *target_name;
    int target_parent = open_parent(put->root, target, &target_name);
    if (target_parent < 0)
        return fail(stream, "a hard link's target is missing");
    int result = linkat(target_parent, target_name, parent, name, 0);
    int saved = errno;
    close(target_parent);
    errno = saved;
    return result == 0 || fail(stream, "a hard link cannot be made");
}

static bool finish_record(struct stream *stream, struct put *put) {
    put->have_record = false;
    if (put->record.kind == 'd')
        return true;
    const char *name;
    int parent = find_parent(put, &name);
    if (parent < 0)
        return fail(stream, "a parent directory went away");
    if (put->record.kind == 'f') {
        int result = close(put->file);
        put->file = -1;
        if (result != 0)
            return fail(stream, "a file cannot be written");
    } else if (!finish_link(stream, put, parent, name)) {
        return false;
    }
    if (put->record.kind != 'h')
        set_owner_and_time(put, parent, name);
    return true;
}

/* The kernel refuses what must not be: a directory for a file, a file for a directory, and a directory for one with
   content, which is what FLAG_REPLACE is for. */
static bool put_in_place(struct put *put) {
    struct stat there;
    bool taken = fstatat(put->root, put->final, &there, AT_SYMLINK_NOFOLLOW) == 0;
    if (taken && !S_ISREG(there.st_mode) && !S_ISLNK(there.st_mode) && !S_ISDIR(there.st_mode)) {
        errno = EEXIST;
        return false;
    }
    if (renameat(put->root, put->partial, put->root, put->final) == 0)
        return true;
    struct stat new;
    int refused = errno;
    if (!put->replace || !taken || !S_ISDIR(there.st_mode) ||
        fstatat(put->root, put->partial, &new, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(new.st_mode)) {
        errno = refused;
        return false;
    }
    if (syscall(SYS_renameat2, put->root, put->partial, put->root, put->final, EXCHANGE) == 0) {
        remove_tree(put->root, put->partial);
        return true;
    }
    remove_tree(put->root, put->final); /* an overlay does not rename the directories of its lower layer */
    return renameat(put->root, put->partial, put->root, put->final) == 0;
}

static bool finish_tree(struct stream *stream, struct put *put) {
    put->tree_ended = true;
    while (put->late != NULL) {
        struct late *late = put->late;
        const char *name;
        int parent = open_parent(put->root, late->path, &name);
        if (parent >= 0) {
            int directory = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            if (directory >= 0) {
                struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, late->time};
                bool owned = !put->keep_owners || fchown(directory, late->uid, late->gid) == 0;
                if (owned)
                    fchmod(directory, late->mode & 07777);
                futimens(directory, times);
                close(directory);
            }
            close(parent);
        }
        put->late = late->next;
        free(late);
    }
    if (put->final[0] != 0 && !put_in_place(put))
        return fail(stream, "what was copied cannot take its place");
    put->partial[0] = 0;
    stream_end_status(stream, 1, 0);
    return false;
}

/* Takes the head of a record and its path; how many bytes were used, 0 when more are needed, -1 when it is malformed. */
static ssize_t parse_record(struct record *record, const uint8_t *bytes, size_t length) {
    if (length < 1)
        return 0;
    record->kind = (char)bytes[0];
    if (record->kind == '.')
        return 1;
    if (strchr("fdlh", record->kind) == NULL || record->kind == 0)
        return -1;
    if (length < RECORD_SIZE)
        return 0;
    record->mode = get32(bytes + 1);
    record->uid = get32(bytes + 5);
    record->gid = get32(bytes + 9);
    record->seconds = (int64_t)get64(bytes + 13);
    record->nanoseconds = get32(bytes + 21);
    record->size = get64(bytes + 25);
    uint32_t path_length = get32(bytes + 33);
    if (path_length >= PATH_SIZE || record->mode & ~07777u || record->nanoseconds > 999999999u ||
        (record->kind == 'd' && record->size != 0))
        return -1;
    if (length < RECORD_SIZE + (size_t)path_length)
        return 0;
    memcpy(record->path, bytes + RECORD_SIZE, path_length);
    record->path[path_length] = 0;
    if (!path_valid(record->path, path_length))
        return -1;
    return (ssize_t)(RECORD_SIZE + path_length);
}

static bool write_content(struct stream *stream, struct put *put, const uint8_t *bytes, size_t length) {
    if (put->record.kind != 'f')
        return buffer_add(&put->target, bytes, length) || fail(stream, "no memory");
    while (length > 0) {
        ssize_t written = write(put->file, bytes, length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return fail(stream, "a file cannot be written");
        bytes += written;
        length -= (size_t)written;
    }
    return true;
}

static bool take(struct stream *stream, struct put *put, const uint8_t *bytes, size_t length) {
    while (length > 0) {
        if (put->have_record) {
            size_t part = put->left < length ? (size_t)put->left : length;
            if (!write_content(stream, put, bytes, part))
                return false;
            bytes += part;
            length -= part;
            put->left -= part;
        } else {
            size_t had = put->head.length;
            size_t part = length < RECORD_SIZE + PATH_SIZE ? length : RECORD_SIZE + PATH_SIZE;
            if (!buffer_add(&put->head, bytes, part))
                return fail(stream, "no memory");
            ssize_t used = parse_record(&put->record, buffer_head(&put->head), put->head.length);
            if (used < 0 || (used == 0 && put->head.length >= RECORD_SIZE + PATH_SIZE)) {
                stream_end_error(stream, "invalid", "a record of the tree is malformed", EINVAL);
                return false;
            }
            if (used == 0) {
                bytes += part;
                length -= part;
                continue;
            }
            bytes += (size_t)used - had;
            length -= (size_t)used - had;
            buffer_drop(&put->head, put->head.length);
            if (put->record.kind == '.')
                return finish_tree(stream, put);
            if (!begin_record(stream, put))
                return false;
            put->have_record = true;
        }
        if (put->have_record && put->left == 0 && !finish_record(stream, put))
            return false;
    }
    return true;
}

static bool on_data(struct stream *stream, const uint8_t *bytes, size_t length) {
    stream_consumed(stream, length);
    return take(stream, stream->state, bytes, length);
}

static void on_end_of_file(struct stream *stream) {
    stream_end_error(stream, "invalid", "the tree ended early", EINVAL);
}

static void release(struct stream *stream) {
    struct put *put = stream->state;
    if (put->file >= 0) { /* unfinished */
        const char *name;
        int parent = find_parent(put, &name);
        close(put->file);
        if (parent >= 0)
            unlinkat(parent, name, 0);
    }
    if (put->partial[0] != 0 && put->root >= 0)
        remove_tree(put->root, put->partial);
    while (put->late != NULL) {
        struct late *late = put->late;
        put->late = late->next;
        free(late);
    }
    if (put->parent >= 0)
        close(put->parent);
    if (put->root >= 0)
        close(put->root);
    buffer_free(&put->head);
    buffer_free(&put->target);
    free(put);
}

static const struct stream_kind_ops ops = {.data = on_data, .end_of_file = on_end_of_file, .release = release};
