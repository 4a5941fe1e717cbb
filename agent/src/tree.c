/* Writing the records of a tree. */
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RECORD_SIZE = 37, TARGET_LIMIT = 4095 };

void tree_begin(struct tree *tree, int root, bool keep_owners) {
    tree->root = root;
    tree->keep_owners = keep_owners;
    tree->file = tree->parent = -1;
}

static bool fail(struct outcome *outcome, const char *message) {
    outcome_fail(outcome, "", message, errno);
    return false;
}

static int find_parent(struct tree *tree, const char **name) {
    const char *path = tree->record.path;
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) : 0;
    *name = slash ? slash + 1 : path;
    if (tree->parent >= 0 && strlen(tree->parent_path) == length && memcmp(tree->parent_path, path, length) == 0)
        return tree->parent;
    if (tree->parent >= 0)
        close(tree->parent);
    tree->parent = open_parent(tree->root, path, name);
    memcpy(tree->parent_path, path, length);
    tree->parent_path[length] = 0;
    return tree->parent;
}

static void set_owner_and_time(struct tree *tree, int parent, const char *name) {
    const struct record *record = &tree->record;
    if (tree->keep_owners && fchownat(parent, name, record->uid, record->gid, AT_SYMLINK_NOFOLLOW) != 0)
        return;
    if (record->kind == 'f' && (record->mode & 06000))
        fchmodat(parent, name, record->mode & 07777, 0);
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {(time_t)record->seconds, (long)record->nanoseconds}};
    utimensat(parent, name, times, AT_SYMLINK_NOFOLLOW);
}

static bool remember_directory(struct tree *tree) {
    size_t length = strlen(tree->record.path);
    struct late *late = malloc(sizeof *late + length + 1);
    if (late == NULL)
        return false;
    *late = (struct late){.next = tree->late,
                          .mode = tree->record.mode,
                          .uid = tree->record.uid,
                          .gid = tree->record.gid,
                          .time = {(time_t)tree->record.seconds, (long)tree->record.nanoseconds}};
    memcpy(late->path, tree->record.path, length + 1);
    tree->late = late;
    return true;
}

/* A regular file is written beside nothing: it replaces what was there, which is removed first. */
static bool begin_record(struct tree *tree, struct outcome *outcome) {
    const char *name;
    int parent = find_parent(tree, &name);
    if (parent < 0)
        return fail(outcome, "a parent directory is missing or a link");
    tree->left = tree->record.size;
    switch (tree->record.kind) {
    case 'd':
        if (mkdirat(parent, name, 0700) != 0) {
            struct stat status;
            if (errno != EEXIST || fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) != 0 ||
                !S_ISDIR(status.st_mode)) {
                errno = EEXIST;
                return fail(outcome, "a directory cannot be made");
            }
        }
        return remember_directory(tree) || fail(outcome, "no memory");
    case 'f':
        if (unlinkat(parent, name, 0) != 0 && errno != ENOENT)
            return fail(outcome, "a file cannot be replaced");
        tree->file = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, tree->record.mode & 0777);
        if (tree->file < 0)
            return fail(outcome, "a file cannot be written");
        fchmod(tree->file, tree->record.mode & 0777);
        return true;
    default: /* links: the target is collected first */
        if (tree->record.size == 0 || tree->record.size > TARGET_LIMIT) {
            errno = EINVAL;
            return fail(outcome, "a link has no usable target");
        }
        return true;
    }
}

static bool finish_link(struct tree *tree, struct outcome *outcome, int parent, const char *name) {
    char target[TARGET_LIMIT + 1];
    size_t length = tree->target.length;
    memcpy(target, buffer_head(&tree->target), length);
    target[length] = 0;
    buffer_drop(&tree->target, length);
    errno = EINVAL;
    if (memchr(target, 0, length) != NULL)
        return fail(outcome, "a link's target has a NUL");
    if (unlinkat(parent, name, 0) != 0 && errno != ENOENT)
        return fail(outcome, "a link cannot be replaced");
    if (tree->record.kind == 'l')
        return symlinkat(target, parent, name) == 0 || fail(outcome, "a symbolic link cannot be made");
    errno = EINVAL;
    if (!path_valid(target, length))
        return fail(outcome, "a hard link's target is not a path of this tree");
    const char *target_name;
    int target_parent = open_parent(tree->root, target, &target_name);
    if (target_parent < 0)
        return fail(outcome, "a hard link's target is missing");
    int result = linkat(target_parent, target_name, parent, name, 0);
    int saved = errno;
    close(target_parent);
    errno = saved;
    return result == 0 || fail(outcome, "a hard link cannot be made");
}

static bool finish_record(struct tree *tree, struct outcome *outcome) {
    tree->have_record = false;
    if (tree->record.kind == 'd')
        return true;
    const char *name;
    int parent = find_parent(tree, &name);
    if (parent < 0)
        return fail(outcome, "a parent directory went away");
    if (tree->record.kind == 'f') {
        int result = close(tree->file);
        tree->file = -1;
        if (result != 0)
            return fail(outcome, "a file cannot be written");
    } else if (!finish_link(tree, outcome, parent, name)) {
        return false;
    }
    if (tree->record.kind != 'h')
        set_owner_and_time(tree, parent, name);
    return true;
}

/* The modes and times of the directories, children before their parents. */
static void finish_directories(struct tree *tree) {
    while (tree->late != NULL) {
        struct late *late = tree->late;
        const char *name;
        int parent = open_parent(tree->root, late->path, &name);
        if (parent >= 0) {
            int directory = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            if (directory >= 0) {
                struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, late->time};
                bool owned = !tree->keep_owners || fchown(directory, late->uid, late->gid) == 0;
                if (owned)
                    fchmod(directory, late->mode & 07777);
                futimens(directory, times);
                close(directory);
            }
            close(parent);
        }
        tree->late = late->next;
        free(late);
    }
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

/* Takes the head of a record that may have begun in earlier bytes; how many of these it used. */
static size_t take_head(struct tree *tree, const uint8_t *bytes, size_t length, struct outcome *outcome) {
    size_t had = tree->head.length, part = length;
    if (had > 0) {
        part = length < RECORD_SIZE + PATH_SIZE ? length : RECORD_SIZE + PATH_SIZE;
        if (!buffer_add(&tree->head, bytes, part)) {
            fail(outcome, "no memory");
            return 0;
        }
        bytes = buffer_head(&tree->head);
    }
    ssize_t used = parse_record(&tree->record, bytes, had + part);
    if (used < 0 || (used == 0 && had + part >= RECORD_SIZE + PATH_SIZE)) {
        outcome_fail(outcome, "invalid", "a record of the tree is malformed", EINVAL);
        return 0;
    }
    if (used == 0) { /* there is more to come */
        if (had == 0 && !buffer_add(&tree->head, bytes, part))
            fail(outcome, "no memory");
        return part;
    }
    buffer_drop(&tree->head, tree->head.length);
    tree->complete = tree->record.kind == '.';
    if (!tree->complete)
        tree->have_record = begin_record(tree, outcome);
    return (size_t)used - had;
}

static bool write_content(struct tree *tree, const uint8_t *bytes, size_t length, struct outcome *outcome) {
    if (tree->record.kind != 'f')
        return buffer_add(&tree->target, bytes, length) || fail(outcome, "no memory");
    while (length > 0) {
        ssize_t written = write(tree->file, bytes, length);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return fail(outcome, "a file cannot be written");
        bytes += written;
        length -= (size_t)written;
    }
    return true;
}

void tree_take(struct tree *tree, const uint8_t *bytes, size_t length, struct outcome *outcome) {
    while (length > 0 && !tree->complete && outcome->state == GOING_ON) {
        if (worker_stopped()) {
            outcome_fail(outcome, "failed", "it was given up", ECANCELED);
            return;
        }
        size_t part;
        if (tree->have_record) {
            part = tree->left < length ? (size_t)tree->left : length;
            if (!write_content(tree, bytes, part, outcome))
                return;
            tree->left -= part;
        } else {
            part = take_head(tree, bytes, length, outcome);
        }
        bytes += part;
        length -= part;
        if (tree->have_record && tree->left == 0)
            finish_record(tree, outcome);
    }
    if (tree->complete)
        finish_directories(tree);
}

void tree_end(struct tree *tree) {
    if (tree->file >= 0) {
        const char *name;
        int parent = find_parent(tree, &name);
        close(tree->file);
        if (parent >= 0)
            unlinkat(parent, name, 0);
    }
    while (tree->late != NULL) {
        struct late *late = tree->late;
        tree->late = late->next;
        free(late);
    }
    if (tree->parent >= 0)
        close(tree->parent);
    buffer_free(&tree->head);
    buffer_free(&tree->target);
}
