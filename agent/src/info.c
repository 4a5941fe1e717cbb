/* What the guest is doing, as raw text that the host parses and distrusts. */
#include "agent.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { TEXT_LIMIT = 8192, LISTENER_LIMIT = 256, INTERFACE_LIMIT = 64 };

static size_t read_file(const char *path, char *text, size_t size) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return 0;
    size_t length = 0;
    for (ssize_t count; length < size && (count = read(fd, text + length, size - length)) > 0;)
        length += (size_t)count;
    close(fd);
    return length;
}

static void add_file(struct buffer *fields, uint8_t tag, const char *path) {
    char text[TEXT_LIMIT];
    size_t length = read_file(path, text, sizeof text);
    if (length == sizeof text)
        while (length > 0 && text[length - 1] != '\n')
            length--;
    if (length > 0)
        add_field(fields, tag, text, length);
}

struct listeners {
    unsigned long inodes[LISTENER_LIMIT];
    size_t count;
};

/* The inodes of listening TCP sockets (state 0A) and bound UDP sockets (07), from the text of /proc/net. */
static void find_listeners(struct listeners *listeners, const char *path, const char *state) {
    FILE *file = fopen(path, "re");
    char line[512];
    while (file != NULL && listeners->count < LISTENER_LIMIT && fgets(line, sizeof line, file) != NULL) {
        char found[8];
        unsigned long inode;
        if (sscanf(line, "%*s %*s %*s %7s %*s %*s %*s %*s %*s %lu", found, &inode) == 2 && strcmp(found, state) == 0)
            listeners->inodes[listeners->count++] = inode;
    }
    if (file != NULL)
        fclose(file);
}

static void add_owner(struct buffer *fields, const char *pid, unsigned long inode) {
    char path[64], name[64] = "", line[128];
    snprintf(path, sizeof path, "/proc/%.16s/comm", pid);
    size_t length = read_file(path, name, sizeof name - 1);
    name[length] = 0;
    name[strcspn(name, "\n")] = 0;
    snprintf(line, sizeof line, "%lu %.16s %s", inode, pid, name);
    add_text(fields, 27, line);
}

static void add_owners_of(struct buffer *fields, struct listeners *listeners, const char *pid) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%.16s/fd", pid);
    DIR *listing = opendir(path);
    for (struct dirent *entry; listing != NULL && (entry = readdir(listing)) != NULL;) {
        char target[64];
        ssize_t length = readlinkat(dirfd(listing), entry->d_name, target, sizeof target - 1);
        if (length < 9 || strncmp(target, "socket:[", 8) != 0)
            continue;
        target[length] = 0;
        unsigned long inode = strtoul(target + 8, NULL, 10);
        for (size_t i = 0; i < listeners->count; i++)
            if (listeners->inodes[i] == inode) {
                add_owner(fields, pid, inode);
                listeners->inodes[i] = 0; /* one owner is enough */
            }
    }
    if (listing != NULL)
        closedir(listing);
}

/* Interfaces that are up and have an IPv4 address. */
static void add_interfaces(struct buffer *fields) {
    struct ifaddrs *all = NULL;
    int left = INTERFACE_LIMIT;
    if (getifaddrs(&all) != 0)
        return;
    for (struct ifaddrs *one = all; one != NULL && left > 0; one = one->ifa_next) {
        char address[INET_ADDRSTRLEN], line[IFNAMSIZ + INET_ADDRSTRLEN + 2];
        if (one->ifa_addr == NULL || one->ifa_addr->sa_family != AF_INET || !(one->ifa_flags & IFF_UP))
            continue;
        struct sockaddr_in found;
        memcpy(&found, one->ifa_addr, sizeof found);
        if (inet_ntop(AF_INET, &found.sin_addr, address, sizeof address) == NULL)
            continue;
        snprintf(line, sizeof line, "%.15s %s", one->ifa_name, address);
        add_text(fields, 31, line);
        left--;
    }
    freeifaddrs(all);
}

bool info_open(struct stream *stream, struct fields unused) {
    (void)unused;
    struct buffer fields = {0};
    struct listeners listeners = {0};
    add_number(&fields, 1, 0);
    add_file(&fields, 20, "/proc/loadavg");
    add_file(&fields, 21, "/proc/meminfo");
    add_file(&fields, 22, "/proc/uptime");
    add_file(&fields, 23, "/proc/net/tcp");
    add_file(&fields, 24, "/proc/net/tcp6");
    add_file(&fields, 25, "/proc/net/udp");
    add_file(&fields, 26, "/proc/net/udp6");
    find_listeners(&listeners, "/proc/net/tcp", "0A");
    find_listeners(&listeners, "/proc/net/tcp6", "0A");
    find_listeners(&listeners, "/proc/net/udp", "07");
    find_listeners(&listeners, "/proc/net/udp6", "07");
    uint64_t processes = 0;
    DIR *listing = opendir("/proc");
    for (struct dirent *entry; listing != NULL && (entry = readdir(listing)) != NULL;)
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9') {
            processes++;
            if (listeners.count > 0)
                add_owners_of(&fields, &listeners, entry->d_name);
        }
    if (listing != NULL)
        closedir(listing);
    add_number(&fields, 28, processes);
    struct statvfs root;
    if (statvfs("/", &root) == 0) {
        uint8_t value[24];
        put64(value, root.f_frsize);
        put64(value + 8, root.f_blocks);
        put64(value + 16, root.f_bavail);
        add_field(&fields, 29, value, sizeof value);
    }
    struct utsname names;
    if (uname(&names) == 0)
        add_text(&fields, 30, names.release);
    add_interfaces(&fields);
    stream_end_fields(stream, &fields);
    buffer_free(&fields);
    return true;
}
