#include "seed.h"

#include "agent.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void set(struct seed *seed, const char *key, const char *value) {
    struct {
        const char *key;
        char *place;
    } const texts[] = {
        {"hostname", seed->hostname}, {"init", seed->init},       {"root", seed->root},
        {"root_fs", seed->root_fs},   {"data", seed->data},       {"modules_disk", seed->modules_disk},
        {"address", seed->address},   {"gateway", seed->gateway}, {"dns", seed->dns},
        {"channel", seed->channel},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (strcmp(key, texts[i].key) == 0)
            snprintf(texts[i].place, SEED_VALUE, "%s", value);
    if (strcmp(key, "clock_ns") == 0)
        seed->clock_ns = strtoull(value, NULL, 10);
    if (strcmp(key, "mtu") == 0)
        seed->mtu = (unsigned)strtoul(value, NULL, 10);
    if (strcmp(key, "direct") == 0 && seed->direct_count < SEED_DIRECT)
        snprintf(seed->direct[seed->direct_count++], SEED_VALUE, "%s", value);
}

int seed_read(struct seed *seed, const char *path) {
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return -1;
    char line[SEED_VALUE * 2];
    while (fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = 0;
        char *equals = strchr(line, '=');
        if (equals != NULL) {
            *equals = 0;
            set(seed, line, equals + 1);
        }
    }
    fclose(file);
    return 0;
}

static bool has_content(const char *path, const char *text) {
    char found[1024];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return false;
    ssize_t length = read(fd, found, sizeof found);
    close(fd);
    return length == (ssize_t)strlen(text) && memcmp(found, text, (size_t)length) == 0;
}

/* Replaces a link as well: some images link resolv.conf to where nobody serves it. */
static int write_text(const char *path, const char *text) {
    if (has_content(path, text))
        return 0;
    unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return -1;
    ssize_t length = write(fd, text, strlen(text));
    return close(fd) == 0 && length == (ssize_t)strlen(text) ? 0 : -1;
}

int seed_apply_identity(const struct seed *seed) {
    char text[SEED_VALUE * 2];
    if (seed->hostname[0] != 0) {
        if (sethostname(seed->hostname, strlen(seed->hostname)) != 0)
            return -1;
        make_directories("/etc");
        snprintf(text, sizeof text, "%s\n", seed->hostname);
        if (!has_content("/etc/hostname", text)) { /* the first boot under this name */
            if (write_text("/etc/hostname", text) != 0)
                return -1;
            snprintf(text, sizeof text, "127.0.0.1 localhost\n127.0.1.1 %s\n::1 localhost ip6-localhost ip6-loopback\n",
                     seed->hostname);
            if (write_text("/etc/hosts", text) != 0)
                return -1;
        }
    }
    if (seed->dns[0] != 0) {
        snprintf(text, sizeof text, "nameserver %s\n", seed->dns);
        return write_text("/etc/resolv.conf", text);
    }
    return 0;
}

static void set_up(int socket_fd, const char *name) {
    struct ifreq request = {0};
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    if (ioctl(socket_fd, SIOCGIFFLAGS, &request) == 0) {
        request.ifr_flags |= IFF_UP;
        ioctl(socket_fd, SIOCSIFFLAGS, &request);
    }
}

static struct sockaddr_in address_of(uint32_t address) {
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = address};
}

static void configure(int socket_fd, const char *name, const struct seed *seed) {
    char text[SEED_VALUE];
    snprintf(text, sizeof text, "%s", seed->address);
    char *slash = strchr(text, '/');
    unsigned bits = slash ? (unsigned)strtoul(slash + 1, NULL, 10) : 24;
    if (slash != NULL)
        *slash = 0;
    struct ifreq request = {0};
    struct sockaddr_in address = address_of(inet_addr(text));
    struct sockaddr_in mask = address_of(htonl(bits == 0 || bits > 32 ? 0 : ~0u << (32 - bits)));
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    if (seed->mtu > 0) {
        request.ifr_mtu = (int)seed->mtu;
        ioctl(socket_fd, SIOCSIFMTU, &request);
    }
    memcpy(&request.ifr_addr, &address, sizeof address);
    ioctl(socket_fd, SIOCSIFADDR, &request);
    memcpy(&request.ifr_netmask, &mask, sizeof mask);
    ioctl(socket_fd, SIOCSIFNETMASK, &request);
    set_up(socket_fd, name);
    if (seed->gateway[0] != 0) {
        struct rtentry route = {.rt_flags = RTF_UP | RTF_GATEWAY};
        struct sockaddr_in any = address_of(0), gateway = address_of(inet_addr(seed->gateway));
        memcpy(&route.rt_dst, &any, sizeof any);
        memcpy(&route.rt_genmask, &any, sizeof any);
        memcpy(&route.rt_gateway, &gateway, sizeof gateway);
        ioctl(socket_fd, SIOCADDRT, &route);
    }
}

void seed_apply_network(const struct seed *seed) {
    int socket_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (socket_fd < 0)
        return;
    set_up(socket_fd, "lo");
    DIR *listing = seed->address[0] ? opendir("/sys/class/net") : NULL;
    for (struct dirent *entry; listing != NULL && (entry = readdir(listing)) != NULL;)
        if (entry->d_name[0] != '.' && strcmp(entry->d_name, "lo") != 0) {
            configure(socket_fd, entry->d_name, seed);
            break;
        }
    if (listing != NULL)
        closedir(listing);
    close(socket_fd);
}

void seed_apply_clock(const struct seed *seed) {
    struct timespec now, wanted = {(time_t)(seed->clock_ns / 1000000000u), (long)(seed->clock_ns % 1000000000u)};
    clock_gettime(CLOCK_REALTIME, &now);
    if (now.tv_sec + 1 < wanted.tv_sec)
        clock_settime(CLOCK_REALTIME, &wanted);
}

static int copy_file(int from_directory, int to_directory, const char *name, mode_t mode) {
    char bytes[4096];
    int source = openat(from_directory, name, O_RDONLY | O_CLOEXEC);
    unlinkat(to_directory, name, 0);
    int target = source < 0 ? -1 : openat(to_directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    int result = target < 0 ? -1 : 0, reason = errno;
    for (ssize_t length; result == 0 && (length = read(source, bytes, sizeof bytes)) > 0;)
        if (write(target, bytes, (size_t)length) != length) {
            result = -1;
            reason = errno ? errno : ENOSPC;
        }
    if (target >= 0) {
        fchmod(target, mode);
        close(target);
    }
    if (source >= 0)
        close(source);
    errno = reason;
    return result;
}

static void leave_out(const char *name) {
    dprintf(1, "banger-agent: seed: %s is left out: %s\n", name, strerror(errno));
}

/* Directories of the image keep their modes; those that are made get the seed's. Links in the image are not followed:
 * an image whose /etc is a link gets no files there. What cannot be written is left out: a guest without its ssh key
 * still boots, and says why on its console. */
static void copy_tree(int source, int target) {
    DIR *listing = fdopendir(source);
    if (listing == NULL) {
        leave_out("a directory");
        close(source);
        return;
    }
    for (struct dirent *entry; (entry = readdir(listing)) != NULL;) {
        struct stat status;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            fstatat(dirfd(listing), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        if (S_ISDIR(status.st_mode)) {
            mkdirat(target, entry->d_name, status.st_mode & 0777);
            int below = openat(target, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            int from = below < 0 ? -1 : openat(dirfd(listing), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
            if (from < 0)
                leave_out(entry->d_name);
            else
                copy_tree(from, below);
            if (below >= 0)
                close(below);
        } else if (S_ISREG(status.st_mode) &&
                   copy_file(dirfd(listing), target, entry->d_name, status.st_mode & 0777) != 0) {
            leave_out(entry->d_name);
        }
    }
    closedir(listing);
}

int seed_copy_files(const char *source, int root) {
    int fd = open(source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : -1;
    copy_tree(fd, root);
    return 0;
}
