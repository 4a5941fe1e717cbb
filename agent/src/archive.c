/* Reading a whole root for the host, with everything that its file system knows: a pax archive.
 * docs/agent-protocol.md, "archive". */
#include "agent.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { DEPTH_LIMIT = 512, PIECES_LIMIT = 8192, XATTR_LIMIT = 65536 };
enum { PATH_TAG = 10, MOUNTED_TAG, EMPTIED_TAG, OF_IMAGE_TAG, IMAGE_DISK_TAG, IMAGE_TYPE_TAG };

/* linux/mount.h, which clashes with sys/mount.h. */
enum { CLONE_ONE_MOUNT = 1, SET_FLAG = 0, SET_STRING = 1, CREATE = 6, CLOSE_ON_EXEC = 1, READ_ONLY = 1 };

struct piece {
    uint64_t start, length;
};

struct level {
    DIR *listing;
    size_t path_length; /* of the directory's own path */
};

struct archive {
    struct level levels[DEPTH_LIMIT];
    int depth;
    char path[PATH_SIZE]; /* of what is looked at, below the root */
    int image;            /* the root of the image that the root was made of; -1: nobody said which */
    struct links links;
    int file;
    struct piece *pieces; /* of the file, which are still to be given; a file without holes has one */
    size_t piece, piece_count;
    uint64_t padding;
    struct pax pax;
    struct outcome *outcome;
    struct fields fields; /* what the host asked for: the bytes follow */
};

static void fail(struct archive *archive, const char *what, int error) {
    outcome_fail(archive->outcome, "", what, error);
}

/* ---- extended attributes */

/* An equals sign in the name of an attribute would end it: as GNU tar writes it. */
static void add_xattr_record(struct archive *archive, const char *name, const void *value, size_t length) {
    char key[sizeof "SCHILY.xattr." + 3 * XATTR_NAME_MAX] = "SCHILY.xattr.";
    size_t used = strlen(key);
    for (; *name != 0; name++) {
        const char *escaped = *name == '=' ? "%3D" : *name == '%' ? "%25" : NULL;
        if (escaped != NULL) {
            memcpy(key + used, escaped, 3);
            used += 3;
        } else {
            key[used++] = *name;
        }
    }
    key[used] = 0;
    pax_record(&archive->pax, key, value, length);
}

static bool kept(const char *name) {
    static const char *const prefixes[] = {"user.", "trusted.", "security.", "system.posix_acl_"};
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

/* Of `name` in the working directory, no link followed. */
static void add_xattrs(struct archive *archive, const char *name) {
    static char list[XATTR_LIMIT], value[XATTR_LIMIT];
    ssize_t length = llistxattr(name, list, sizeof list);
    if (length < 0) {
        if (errno != ENOTSUP)
            fail(archive, "extended attributes cannot be read", errno);
        return;
    }
    for (const char *attribute = list; attribute < list + length; attribute += strlen(attribute) + 1) {
        if (!kept(attribute))
            continue;
        ssize_t size = lgetxattr(name, attribute, value, sizeof value);
        if (size >= 0)
            add_xattr_record(archive, attribute, value, (size_t)size);
        else if (errno != ENODATA)
            fail(archive, "an extended attribute cannot be read", errno);
    }
}

/* ---- files */

static bool add_piece(struct archive *archive, uint64_t start, uint64_t length) {
    struct piece *pieces = realloc(archive->pieces, (archive->piece_count + 1) * sizeof *pieces);
    if (pieces == NULL)
        return false;
    archive->pieces = pieces;
    pieces[archive->piece_count++] = (struct piece){start, length};
    return true;
}

/* The pieces of the file that have data. One that is all data, or in too many pieces, is one piece. */
static void find_pieces(struct archive *archive, const struct stat *status) {
    uint64_t size = (uint64_t)status->st_size;
    archive->piece = archive->piece_count = 0;
    bool known = (uint64_t)status->st_blocks * 512 < size;
    for (uint64_t end = 0; known && end < size;) {
        off_t start = lseek(archive->file, (off_t)end, SEEK_DATA);
        if (start < 0 && errno == ENXIO)
            return;
        off_t stop = start < 0 ? -1 : lseek(archive->file, start, SEEK_HOLE);
        known = stop > start && archive->piece_count < PIECES_LIMIT;
        if (known && !add_piece(archive, (uint64_t)start, (uint64_t)(stop - start)))
            fail(archive, "no memory", ENOMEM);
        end = (uint64_t)stop;
    }
    if (!known) {
        archive->piece_count = 0;
        if (size > 0 && !add_piece(archive, 0, size))
            fail(archive, "no memory", ENOMEM);
    }
}

/* GNU tar manual, "Storing Sparse Files", format 1.0: a map in decimal before the data. */
static void add_sparse(struct archive *archive, const struct stat *status, uint64_t data) {
    struct buffer map = {0};
    char line[48];
    uint64_t size = (uint64_t)status->st_size;
    snprintf(line, sizeof line, "%zu\n", archive->piece_count + 1);
    bool good = buffer_add(&map, line, strlen(line));
    for (size_t i = 0; good && i < archive->piece_count; i++) {
        const struct piece *piece = &archive->pieces[i];
        snprintf(line, sizeof line, "%llu\n%llu\n", (unsigned long long)piece->start, (unsigned long long)piece->length);
        good = buffer_add(&map, line, strlen(line));
    }
    snprintf(line, sizeof line, "%llu\n0\n", (unsigned long long)size);
    if (!good || !buffer_add(&map, line, strlen(line)))
        fail(archive, "no memory", ENOMEM);
    pax_record(&archive->pax, "GNU.sparse.major", "1", 1);
    pax_record(&archive->pax, "GNU.sparse.minor", "0", 1);
    pax_record(&archive->pax, "GNU.sparse.name", archive->path, strlen(archive->path));
    pax_number(&archive->pax, "GNU.sparse.realsize", size);
    size_t padding = pax_padding(map.length);
    pax_member(&archive->pax, "GNUSparseFile", '0', status, map.length + padding + data, "");
    pax_bytes(&archive->pax, buffer_head(&map), map.length);
    pax_zeros(&archive->pax, padding);
    buffer_free(&map);
}

static void add_file(struct archive *archive, const char *name, struct stat *status) {
    int fd = open(name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || fstat(fd, status) != 0 || !S_ISREG(status->st_mode)) {
        fail(archive, "a file cannot be read", errno);
        if (fd >= 0)
            close(fd);
        return;
    }
    archive->file = fd;
    find_pieces(archive, status);
    uint64_t data = 0;
    for (size_t i = 0; i < archive->piece_count; i++)
        data += archive->pieces[i].length;
    archive->padding = pax_padding(data);
    if (data == (uint64_t)status->st_size)
        pax_member(&archive->pax, archive->path, '0', status, data, "");
    else
        add_sparse(archive, status, data);
    if (archive->piece_count > 0 && lseek(fd, (off_t)archive->pieces[0].start, SEEK_SET) < 0)
        fail(archive, "a file cannot be read", errno);
}

/* Give one more part of the file; at its end what fills its last block. */
static void advance_file(struct archive *archive) {
    if (archive->piece == archive->piece_count) {
        pax_zeros(&archive->pax, (size_t)archive->padding);
        close(archive->file);
        archive->file = -1;
        return;
    }
    struct piece *piece = &archive->pieces[archive->piece];
    size_t size = piece->length < FRAME_LIMIT ? (size_t)piece->length : FRAME_LIMIT;
    uint8_t *room = buffer_room(&archive->pax.out, size);
    ssize_t length = room != NULL ? read(archive->file, room, size) : 0;
    if (room == NULL || length < 0) {
        fail(archive, "a file cannot be read", room == NULL ? ENOMEM : errno);
        return;
    }
    if (length == 0) { /* it shrank while we read: the size was promised, so zeros follow */
        memset(room, 0, size);
        length = (ssize_t)size;
    }
    archive->pax.out.length += (size_t)length;
    piece->length -= (uint64_t)length;
    if (piece->length == 0 && ++archive->piece < archive->piece_count &&
        lseek(archive->file, (off_t)archive->pieces[archive->piece].start, SEEK_SET) < 0)
        fail(archive, "a file cannot be read", errno);
}

/* ---- the tree */

/* Is the path one of those that the host named under this tag? */
static bool named(const struct archive *archive, uint8_t tag) {
    struct fields rest = archive->fields;
    struct field field;
    size_t length = strlen(archive->path);
    while (fields_next(&rest, &field))
        if (field.tag == tag && field.length == length && memcmp(field.value, archive->path, length) == 0)
            return true;
    return false;
}

static void enter(struct archive *archive, int fd) {
    DIR *listing = archive->depth < DEPTH_LIMIT ? fdopendir(fd) : NULL;
    if (listing == NULL) {
        if (archive->depth == DEPTH_LIMIT)
            fail(archive, "its directories are nested too deeply", ENAMETOOLONG);
        else
            fail(archive, "a directory cannot be read", errno);
        close(fd);
        return;
    }
    archive->levels[archive->depth++] = (struct level){listing, strlen(archive->path)};
}

static void add_directory(struct archive *archive, const char *name, const struct stat *status, bool empty) {
    add_xattrs(archive, name);
    pax_member(&archive->pax, archive->path, '5', status, 0, "");
    if (empty)
        return;
    int fd = open(name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0)
        enter(archive, fd);
    else
        fail(archive, "a directory cannot be read", errno);
}

static bool is_empty(int directory) {
    int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *listing = fd >= 0 ? fdopendir(fd) : NULL;
    bool empty = true;
    for (struct dirent *entry; empty && listing != NULL && (entry = readdir(listing)) != NULL;)
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    if (listing != NULL)
        closedir(listing);
    return empty;
}

static bool in_image(const struct archive *archive) {
    const char *name;
    struct stat status;
    int parent = archive->image >= 0 ? open_parent(archive->image, archive->path, &name) : -1;
    bool found = parent >= 0 && fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) == 0;
    if (parent >= 0)
        close(parent);
    return found;
}

/* A directory that is mounted from elsewhere, with what is in there. We made it in every guest: one without anything
 * in it, which the image does not have, is left out. */
static void add_mounted(struct archive *archive) {
    char place[PATH_SIZE + 1];
    struct stat status;
    snprintf(place, sizeof place, "/%s", archive->path);
    int fd = open(place, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) != 0 || fchdir(fd) != 0)
        fail(archive, "a directory cannot be read", errno);
    else if (!is_empty(fd) || in_image(archive))
        add_directory(archive, ".", &status, false);
    if (fd >= 0)
        close(fd);
}

static void add_symlink(struct archive *archive, const char *name, const struct stat *status) {
    char target[PATH_SIZE];
    ssize_t length = readlink(name, target, sizeof target - 1);
    if (length < 0) {
        fail(archive, "a link cannot be read", errno);
        return;
    }
    target[length] = 0;
    add_xattrs(archive, name);
    pax_member(&archive->pax, archive->path, '2', status, 0, target);
}

/* `name` in the working directory. Sockets are left out: they belong to programs that run. */
static void add_entry(struct archive *archive, const char *name, bool of_image) {
    struct stat status;
    const char *first = NULL;
    if (lstat(name, &status) != 0) {
        if (errno != ENOENT)
            fail(archive, "an entry cannot be read", errno);
        return;
    }
    if (S_ISDIR(status.st_mode)) {
        if (!of_image && named(archive, MOUNTED_TAG))
            add_mounted(archive);
        else
            add_directory(archive, name, &status, of_image || named(archive, EMPTIED_TAG));
        return;
    }
    if (status.st_nlink > 1 && !S_ISSOCK(status.st_mode) && !links_see(&archive->links, &status, archive->path, &first))
        fail(archive, "no memory", ENOMEM);
    if (first != NULL) {
        pax_member(&archive->pax, archive->path, '1', &status, 0, first);
    } else if (S_ISLNK(status.st_mode)) {
        add_symlink(archive, name, &status);
    } else if (S_ISREG(status.st_mode)) {
        add_xattrs(archive, name);
        add_file(archive, name, &status);
    } else if (!S_ISSOCK(status.st_mode)) {
        add_xattrs(archive, name);
        char kind = S_ISCHR(status.st_mode) ? '3' : S_ISBLK(status.st_mode) ? '4' : '6';
        pax_member(&archive->pax, archive->path, kind, &status, 0, "");
    }
}

static void visit(struct archive *archive, int directory, const char *name) {
    if (!named(archive, OF_IMAGE_TAG)) {
        if (fchdir(directory) != 0)
            fail(archive, "a directory cannot be read", errno);
        add_entry(archive, name, false);
        return;
    }
    int parent = archive->image >= 0 ? open_parent(archive->image, archive->path, &name) : -1;
    if (parent >= 0 && fchdir(parent) == 0)
        add_entry(archive, name, true);
    if (parent >= 0)
        close(parent);
}

static void advance(struct archive *archive) {
    if (archive->file >= 0) {
        advance_file(archive);
        return;
    }
    if (archive->depth == 0) {
        pax_zeros(&archive->pax, 2 * (size_t)PAX_BLOCK);
        if (archive->outcome->state == GOING_ON)
            archive->outcome->state = DONE;
        return;
    }
    struct level *level = &archive->levels[archive->depth - 1];
    errno = 0;
    struct dirent *entry = readdir(level->listing);
    archive->path[level->path_length] = 0;
    if (entry == NULL) {
        if (errno != 0)
            fail(archive, "a directory cannot be read", errno);
        closedir(level->listing);
        archive->depth--;
        return;
    }
    size_t length = strlen(entry->d_name), separator = level->path_length > 0;
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
        return;
    if (level->path_length + separator + length >= sizeof archive->path) {
        fail(archive, "a path in it is too long", ENAMETOOLONG);
        return;
    }
    if (separator)
        archive->path[level->path_length] = '/';
    memcpy(archive->path + level->path_length + separator, entry->d_name, length + 1);
    visit(archive, dirfd(level->listing), entry->d_name);
}

/* ---- the job */

static bool text_of(const struct archive *archive, uint8_t tag, char *text, size_t size) {
    struct fields rest = archive->fields;
    struct field field;
    while (fields_next(&rest, &field))
        if (field.tag == tag)
            return field_text(&field, text, size);
    return false;
}

/* The image, without what is mounted over it. */
static int open_image(const struct archive *archive) {
    char serial[64], type[32], device[320];
    if (!text_of(archive, IMAGE_DISK_TAG, serial, sizeof serial) || !text_of(archive, IMAGE_TYPE_TAG, type, sizeof type))
        return -1;
    if (find_disk(serial, device, sizeof device) != 0)
        return -1;
    int setting = (int)syscall(SYS_fsopen, type, CLOSE_ON_EXEC);
    int mounted = -1;
    if (setting >= 0 && syscall(SYS_fsconfig, setting, SET_STRING, "source", device, 0) == 0 &&
        syscall(SYS_fsconfig, setting, SET_FLAG, "ro", NULL, 0) == 0 &&
        syscall(SYS_fsconfig, setting, CREATE, NULL, NULL, 0) == 0)
        mounted = (int)syscall(SYS_fsmount, setting, CLOSE_ON_EXEC, READ_ONLY);
    int saved = errno;
    if (setting >= 0)
        close(setting);
    errno = saved;
    return mounted;
}

/* The directory, without what is mounted below it. Where we may not see it so, on somebody's host, as it is. */
static int open_root(const char *path) {
    int mounted = (int)syscall(SYS_open_tree, AT_FDCWD, path, CLONE_ONE_MOUNT | O_CLOEXEC);
    if (mounted < 0)
        return pid1_mode < 0 ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    int root = openat(mounted, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int saved = errno;
    close(mounted);
    errno = saved;
    return root;
}

static void begin(void *state, struct outcome *outcome) {
    struct archive *archive = state;
    struct stat status;
    archive->fields.bytes = (const uint8_t *)(archive + 1);
    archive->outcome = outcome;
    archive->file = archive->image = -1;
    text_of(archive, PATH_TAG, archive->path, sizeof archive->path);
    int root = open_root(archive->path);
    archive->path[0] = 0;
    if (root < 0 || fstat(root, &status) != 0 || fchdir(root) != 0) {
        fail(archive, "it cannot be read", errno);
        if (root >= 0)
            close(root);
        return;
    }
    char ignored[64];
    if (text_of(archive, IMAGE_DISK_TAG, ignored, sizeof ignored) && (archive->image = open_image(archive)) < 0)
        fail(archive, "the image cannot be read", errno);
    add_xattrs(archive, ".");
    pax_member(&archive->pax, "./", '5', &status, 0, "");
    enter(archive, root);
}

static struct buffer *give(void *state, struct outcome *outcome) {
    struct archive *archive = state;
    while (archive->pax.out.length < FRAME_LIMIT && outcome->state == GOING_ON) {
        advance(archive);
        if (archive->pax.failed)
            fail(archive, "no memory", ENOMEM);
    }
    return &archive->pax.out;
}

static void end(void *state, const struct outcome *outcome) {
    struct archive *archive = state;
    (void)outcome;
    while (archive->depth > 0)
        closedir(archive->levels[--archive->depth].listing);
    if (archive->file >= 0)
        close(archive->file);
    if (archive->image >= 0)
        close(archive->image);
    free(archive->pieces);
    links_free(&archive->links);
    buffer_free(&archive->pax.records);
    buffer_free(&archive->pax.out);
}

static const struct job job = {.name = "banger-archive", .begin = begin, .give = give, .end = end};

bool archive_open(struct stream *stream, struct fields fields) {
    char path[PATH_SIZE];
    struct archive *archive = calloc(1, sizeof *archive + fields.length);
    if (archive == NULL)
        return false;
    memcpy(archive + 1, fields.bytes, fields.length);
    archive->fields = (struct fields){(const uint8_t *)(archive + 1), fields.length};
    if (!text_of(archive, PATH_TAG, path, sizeof path) || path[0] != '/') {
        free(archive);
        return false;
    }
    worker_open(stream, &job, archive);
    return true;
}
