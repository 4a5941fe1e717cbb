/* Copying a directory of the image to the data disk, with everything that a file system knows: what lives on the data
 * disk itself begins with what the image has there. */
#include "agent.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { XATTR_LIMIT = 65536, PIECE = 1 << 20 };

struct copying {
    int target; /* where the paths of hard links begin */
    struct links links;
    char path[PATH_SIZE];
};

static int copy_directory(struct copying *copying, int from, int to);

static int copy_xattrs(int from, int to, const char *name) {
    static char list[XATTR_LIMIT], value[XATTR_LIMIT];
    char source[PATH_SIZE], target[PATH_SIZE];
    snprintf(source, sizeof source, "/proc/self/fd/%d/%s", from, name);
    snprintf(target, sizeof target, "/proc/self/fd/%d/%s", to, name);
    ssize_t length = llistxattr(source, list, sizeof list);
    if (length < 0)
        return errno == ENOTSUP ? 0 : -1;
    for (const char *attribute = list; attribute < list + length; attribute += strlen(attribute) + 1) {
        ssize_t size = lgetxattr(source, attribute, value, sizeof value);
        if (size < 0 || lsetxattr(target, attribute, value, (size_t)size, 0) != 0)
            return -1;
    }
    return 0;
}

static int copy_content(int from, int to, const char *name, const struct stat *status) {
    int source = openat(from, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    int target = source < 0 ? -1 : openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int result = target < 0 ? -1 : 0;
    for (off_t left = status->st_size; result == 0 && left > 0;) {
        ssize_t moved = sendfile(target, source, NULL, left < PIECE ? (size_t)left : PIECE);
        if (moved == 0)
            errno = EIO;
        result = moved > 0 ? 0 : -1;
        left -= moved;
    }
    int saved = errno;
    if (source >= 0)
        close(source);
    if (target >= 0 && close(target) != 0 && result == 0)
        return -1;
    errno = saved;
    return result;
}

static int copy_link(int from, int to, const char *name) {
    char target[PATH_SIZE];
    ssize_t length = readlinkat(from, name, target, sizeof target - 1);
    if (length < 0)
        return -1;
    target[length] = 0;
    return symlinkat(target, to, name);
}

static int copy_below(struct copying *copying, int from, int to, const char *name) {
    if (mkdirat(to, name, 0700) != 0)
        return -1;
    int source = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int target = source < 0 ? -1 : openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int result = target < 0 ? -1 : copy_directory(copying, source, target);
    int saved = errno;
    if (source >= 0)
        close(source);
    if (target >= 0)
        close(target);
    errno = saved;
    return result;
}

/* Owners before modes, which they would change; times last, which everything changes. */
static int copy_attributes(int from, int to, const char *name, const struct stat *status) {
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, status->st_mtim};
    if (fchownat(to, name, status->st_uid, status->st_gid, AT_SYMLINK_NOFOLLOW) != 0 ||
        (!S_ISLNK(status->st_mode) && fchmodat(to, name, status->st_mode & 07777, 0) != 0) ||
        copy_xattrs(from, to, name) != 0)
        return -1;
    return utimensat(to, name, times, AT_SYMLINK_NOFOLLOW);
}

static int copy_entry(struct copying *copying, int from, int to, const char *name) {
    struct stat status;
    const char *first = NULL;
    if (fstatat(from, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
        return -1;
    if (!S_ISDIR(status.st_mode) && status.st_nlink > 1 &&
        !links_see(&copying->links, &status, copying->path, &first)) {
        errno = ENOMEM;
        return -1;
    }
    if (first != NULL)
        return linkat(copying->target, first, to, name, 0);
    int result;
    if (S_ISDIR(status.st_mode))
        result = copy_below(copying, from, to, name);
    else if (S_ISREG(status.st_mode))
        result = copy_content(from, to, name, &status);
    else if (S_ISLNK(status.st_mode))
        result = copy_link(from, to, name);
    else
        result = mknodat(to, name, status.st_mode & (S_IFMT | 0777), status.st_rdev);
    return result == 0 ? copy_attributes(from, to, name, &status) : -1;
}

static int copy_directory(struct copying *copying, int from, int to) {
    size_t length = strlen(copying->path);
    int again = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *listing = again >= 0 ? fdopendir(again) : NULL;
    if (listing == NULL)
        return -1;
    int result = 0;
    for (struct dirent *entry; result == 0 && (entry = readdir(listing)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        int used = snprintf(copying->path + length, sizeof copying->path - length, "%s%s", length > 0 ? "/" : "",
                            entry->d_name);
        errno = ENAMETOOLONG;
        result = (size_t)used < sizeof copying->path - length ? copy_entry(copying, from, to, entry->d_name) : -1;
    }
    copying->path[length] = 0;
    int saved = errno;
    closedir(listing);
    errno = saved;
    return result;
}

/* The directory `path` of the image as `name` in `parent`, or an empty one when the image has none. It is complete when
 * it has that name. 0 or -1. */
int populate(int image, const char *path, int parent, const char *name) {
    struct stat status;
    const char *leaf;
    static const char draft[] = "draft";
    if (fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) == 0)
        return 0;
    remove_tree(parent, draft);
    int above = open_parent(image, path, &leaf);
    bool found = above >= 0 && fstatat(above, leaf, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode);
    int from = found ? openat(above, leaf, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
    int result = mkdirat(parent, draft, 0755);
    if (result == 0 && from >= 0) {
        struct copying copying = {.target = openat(parent, draft, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
        struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, status.st_mtim};
        result = copying.target < 0 ? -1 : copy_directory(&copying, from, copying.target);
        if (result == 0 && (fchown(copying.target, status.st_uid, status.st_gid) != 0 ||
                            fchmod(copying.target, status.st_mode & 07777) != 0 || futimens(copying.target, times) != 0))
            result = -1;
        int saved = errno;
        if (copying.target >= 0)
            close(copying.target);
        links_free(&copying.links);
        errno = saved;
    }
    if (result == 0)
        result = renameat(parent, draft, parent, name);
    int saved = errno;
    if (above >= 0)
        close(above);
    if (from >= 0)
        close(from);
    errno = saved;
    return result;
}
