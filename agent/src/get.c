/* Reading a file tree for the host. */
#include "agent.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEPTH_LIMIT = 128, RECORD_SIZE = 37 };

struct level {
    DIR *listing;
    size_t path_length; /* of the directory's own path */
};

struct get {
    struct level levels[DEPTH_LIMIT];
    int depth;
    char path[PATH_SIZE]; /* what the host asked for, and then of what is looked at, below that */
    int file;
    uint64_t left;
    struct buffer waiting;   /* encoded, not given yet */
    struct outcome *outcome; /* a tree that cannot be read whole has failed: half a tree is never passed off as one */
};

static void fail(struct get *get, const char *what, int error) { outcome_fail(get->outcome, "", what, error); }

static void add(struct get *get, const void *bytes, size_t length) {
    if (!buffer_add(&get->waiting, bytes, length))
        fail(get, "no memory", ENOMEM);
}

/* What went away or became something else while we looked is left out; anything else fails. */
static void leave_out(struct get *get, const char *what) {
    if (errno != ENOENT && errno != ENOTDIR && errno != ELOOP && errno != ENXIO)
        fail(get, what, errno);
}

static void add_record(struct get *get, char kind, const struct stat *status, uint64_t size) {
    uint8_t head[RECORD_SIZE] = {(uint8_t)kind};
    size_t length = strlen(get->path);
    put32(head + 1, status->st_mode & 07777);
    put32(head + 5, status->st_uid);
    put32(head + 9, status->st_gid);
    put64(head + 13, (uint64_t)status->st_mtim.tv_sec);
    put32(head + 21, (uint32_t)status->st_mtim.tv_nsec);
    put64(head + 25, size);
    put32(head + 33, (uint32_t)length);
    add(get, head, sizeof head);
    add(get, get->path, length);
}

static void enter(struct get *get, int fd) {
    if (get->depth == DEPTH_LIMIT) {
        fail(get, "its directories are nested too deeply", ENAMETOOLONG);
        close(fd);
        return;
    }
    DIR *listing = fdopendir(fd);
    if (listing == NULL) {
        fail(get, "a directory cannot be read", errno);
        close(fd);
        return;
    }
    get->levels[get->depth++] = (struct level){listing, strlen(get->path)};
}

static void visit(struct get *get, int directory, const char *name) {
    struct stat status;
    if (fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
        leave_out(get, "an entry cannot be read");
        return;
    }
    if (S_ISLNK(status.st_mode)) {
        char target[PATH_SIZE];
        ssize_t length = readlinkat(directory, name, target, sizeof target - 1);
        if (length > 0) {
            add_record(get, 'l', &status, (uint64_t)length);
            add(get, target, (size_t)length);
        }
    } else if (S_ISREG(status.st_mode)) {
        int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0) {
            leave_out(get, "a file cannot be read");
            return;
        }
        if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
            close(fd);
            return;
        }
        add_record(get, 'f', &status, (uint64_t)status.st_size);
        get->file = fd;
        get->left = (uint64_t)status.st_size;
    } else if (S_ISDIR(status.st_mode)) {
        add_record(get, 'd', &status, 0);
        int fd = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd >= 0)
            enter(get, fd);
        else
            leave_out(get, "a directory cannot be read");
    } /* devices, sockets and pipes stay in the guest */
}

/* Put one more piece into `waiting`. */
static void advance(struct get *get) {
    if (get->file >= 0) {
        if (get->left == 0) {
            close(get->file);
            get->file = -1;
            return;
        }
        size_t size = get->left < FRAME_LIMIT ? (size_t)get->left : FRAME_LIMIT;
        uint8_t *room = buffer_room(&get->waiting, size);
        if (room == NULL) {
            fail(get, "no memory", ENOMEM);
            return;
        }
        ssize_t length = read(get->file, room, size);
        if (length < 0) {
            fail(get, "a file cannot be read", errno);
            return;
        }
        if (length == 0) { /* it shrank while we read: the size was promised, so zeros follow */
            memset(room, 0, size);
            length = (ssize_t)size;
        }
        get->waiting.length += (size_t)length;
        get->left -= (uint64_t)length;
        return;
    }
    if (get->depth == 0) {
        add(get, ".", 1);
        if (get->outcome->state == GOING_ON)
            get->outcome->state = DONE;
        return;
    }
    struct level *level = &get->levels[get->depth - 1];
    struct dirent *entry = readdir(level->listing);
    get->path[level->path_length] = 0;
    if (entry == NULL) {
        closedir(level->listing);
        get->depth--;
        return;
    }
    size_t length = strlen(entry->d_name);
    size_t separator = level->path_length > 0;
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
        return;
    if (level->path_length + separator + length >= sizeof get->path) {
        fail(get, "a path in it is too long", ENAMETOOLONG);
        return;
    }
    if (separator)
        get->path[level->path_length] = '/';
    memcpy(get->path + level->path_length + separator, entry->d_name, length + 1);
    visit(get, dirfd(level->listing), entry->d_name);
}

static void begin(void *state, struct outcome *outcome) {
    struct get *get = state;
    struct stat status;
    int fd = open(get->path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    get->outcome = outcome;
    get->path[0] = 0;
    get->file = -1;
    if (fd < 0 || fstat(fd, &status) != 0) {
        fail(get, "it cannot be read", errno);
        if (fd >= 0)
            close(fd);
    } else if (S_ISDIR(status.st_mode)) {
        enter(get, fd);
    } else if (S_ISREG(status.st_mode)) {
        add_record(get, 'f', &status, (uint64_t)status.st_size);
        get->file = fd;
        get->left = (uint64_t)status.st_size;
    } else {
        outcome_fail(outcome, "invalid", "it is neither a file nor a directory", EINVAL);
        close(fd);
    }
}

static struct buffer *give(void *state, struct outcome *outcome) {
    struct get *get = state;
    while (get->waiting.length < FRAME_LIMIT && outcome->state == GOING_ON)
        advance(get);
    return &get->waiting;
}

static void end(void *state, const struct outcome *outcome) {
    struct get *get = state;
    (void)outcome;
    while (get->depth > 0)
        closedir(get->levels[--get->depth].listing);
    if (get->file >= 0)
        close(get->file);
    buffer_free(&get->waiting);
}

static const struct job job = {.name = "banger-get", .begin = begin, .give = give, .end = end};

bool get_open(struct stream *stream, struct fields fields) {
    struct get *get = calloc(1, sizeof *get);
    struct field field;
    bool valid = get != NULL;
    while (valid && fields_next(&fields, &field))
        valid = field.tag != 10 || field_text(&field, get->path, sizeof get->path);
    if (!valid || get->path[0] != '/') {
        free(get);
        return false;
    }
    worker_open(stream, &job, get);
    return true;
}
