/* Paths inside a directory, never through a symbolic link. */
#include "agent.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Relative, no empty component, no "." or "..", no NUL. */
bool path_valid(const char *path, size_t length) {
    if (length == 0 || length >= PATH_SIZE || memchr(path, 0, length) != NULL)
        return false;
    for (size_t start = 0; start <= length;) {
        const char *slash = memchr(path + start, '/', length - start);
        size_t end = slash ? (size_t)(slash - path) : length;
        size_t size = end - start;
        if (size == 0 || size > 255 || (size == 1 && path[start] == '.') ||
            (size == 2 && path[start] == '.' && path[start + 1] == '.'))
            return false;
        start = end + 1;
    }
    return true;
}

/* A descriptor of the directory that holds the last component, which `name` then points at; -1 and errno. */
int open_parent(int directory, const char *path, const char **name) {
    int current = dup(directory);
    while (current >= 0) {
        const char *slash = strchr(path, '/');
        if (slash == NULL)
            break;
        char component[256];
        size_t length = (size_t)(slash - path);
        if (length >= sizeof component) {
            close(current);
            errno = ENAMETOOLONG;
            return -1;
        }
        memcpy(component, path, length);
        component[length] = 0;
        int next = openat(current, component, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        int saved = errno;
        close(current);
        errno = saved;
        current = next;
        path = slash + 1;
    }
    *name = path;
    return current;
}

/* The name is never followed. */
void remove_tree(int parent, const char *name) {
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

int make_directories(const char *path) {
    char part[PATH_SIZE];
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof part || path[0] != '/') {
        errno = EINVAL;
        return -1;
    }
    memcpy(part, path, length + 1);
    for (char *slash = part + 1;; slash++) {
        slash = strchrnul(slash, '/');
        char kept = *slash;
        *slash = 0;
        if (part[1] != 0 && mkdir(part, 0755) != 0 && errno != EEXIST)
            return -1;
        if (kept == 0)
            return 0;
        *slash = kept;
    }
}
