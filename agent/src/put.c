/* Writing a file tree that the host sends. */
#include "tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { NAME_SIZE = 256 };
enum { FLAG_FRESH = 1, FLAG_OWNERS = 2, FLAG_REPLACE = 4, EXCHANGE = 2 /* renameat2(2) */ };

struct put {
    char destination[PATH_SIZE];
    uint64_t flags;
    char partial[NAME_SIZE], final[NAME_SIZE]; /* or empty: nothing is renamed */
    int root;
    struct tree tree;
};

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

static void begin(void *state, struct outcome *outcome) {
    struct put *put = state;
    put->root = -1;
    if (make_directories(put->destination) != 0 ||
        (put->root = open(put->destination, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
        outcome_fail(outcome, "", "the destination cannot be made", errno);
    else if ((put->flags & FLAG_FRESH) && !is_empty(put->root))
        outcome_fail(outcome, "invalid", "the destination is not empty", ENOTEMPTY);
    tree_begin(&put->tree, put->root, put->flags & FLAG_OWNERS);
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
    if (!(put->flags & FLAG_REPLACE) || !taken || !S_ISDIR(there.st_mode) ||
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

static void take(void *state, const uint8_t *bytes, size_t length, struct outcome *outcome) {
    struct put *put = state;
    tree_take(&put->tree, bytes, length, outcome);
    if (!put->tree.complete || outcome->state != GOING_ON)
        return;
    if (put->final[0] == 0 || put_in_place(put))
        outcome->state = DONE;
    else
        outcome_fail(outcome, "", "what was copied cannot take its place", errno);
}

static void end(void *state, const struct outcome *outcome) {
    struct put *put = state;
    tree_end(&put->tree);
    if (put->root < 0)
        return;
    if (put->partial[0] != 0 && outcome->state != DONE)
        remove_tree(put->root, put->partial);
    close(put->root);
}

static void mend(void *state) {
    struct put *put = state;
    put->root = put->partial[0] != 0 ? open(put->destination, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (put->root >= 0)
        remove_tree(put->root, put->partial);
}

static const struct job job = {.name = "banger-put", .begin = begin, .take = take, .end = end, .mend = mend};

static bool name_valid(const char *name) {
    return path_valid(name, strlen(name)) && strchr(name, '/') == NULL;
}

static bool read_request(struct put *put, struct fields fields) {
    struct field field;
    while (fields_next(&fields, &field)) {
        if (field.tag == 10 && !field_text(&field, put->destination, sizeof put->destination))
            return false;
        if (field.tag == 11 && !field_number(&field, &put->flags))
            return false;
        if (field.tag == 12 && (!field_text(&field, put->partial, NAME_SIZE) || !name_valid(put->partial)))
            return false;
        if (field.tag == 13 && (!field_text(&field, put->final, NAME_SIZE) || !name_valid(put->final)))
            return false;
    }
    if (put->destination[0] != '/' || (put->partial[0] == 0) != (put->final[0] == 0))
        return false;
    return put->final[0] == 0 || strcmp(put->partial, put->final) != 0;
}

bool put_open(struct stream *stream, struct fields fields) {
    struct put *put = calloc(1, sizeof *put);
    if (put == NULL || !read_request(put, fields)) {
        free(put);
        return false;
    }
    worker_open(stream, &job, put);
    return true;
}
