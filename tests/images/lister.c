/* Prints a tree as its kernel sees it, for a comparison on another computer: static, no program of the guest needed.
 *
 *   lister root    the root directory, without what is mounted in it
 *   lister image   the disk with the serial number "image", mounted once more where nobody sees it
 *
 * One entry a line: path, mode, uid, gid, seconds, nanoseconds, device, inode, size, SHA-256 of a file's bytes or the
 * target of a link, extended attributes as NAME=VALUE,... Names and values are hexadecimal, "-" is nothing. */

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

static void die(const char *what) {
    fprintf(stderr, "lister: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* FIPS 180-4. */
struct sha256 {
    uint32_t state[8];
    uint64_t length;
    uint8_t block[64];
};

static uint32_t rotated(uint32_t word, int bits) {
    return word >> bits | word << (32 - bits);
}

static void sha256_block(uint32_t *state, const uint8_t *block) {
    static const uint32_t constants[64] = {
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
        0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
        0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
        0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
        0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
        0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
        0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
        0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
    uint32_t words[64], s[8];
    for (int i = 0; i < 16; i++)
        words[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 | (uint32_t)block[4 * i + 2] << 8 |
                   block[4 * i + 3];
    for (int i = 16; i < 64; i++) {
        uint32_t a = rotated(words[i - 15], 7) ^ rotated(words[i - 15], 18) ^ words[i - 15] >> 3;
        uint32_t b = rotated(words[i - 2], 17) ^ rotated(words[i - 2], 19) ^ words[i - 2] >> 10;
        words[i] = words[i - 16] + a + words[i - 7] + b;
    }
    memcpy(s, state, sizeof s);
    for (int i = 0; i < 64; i++) {
        uint32_t a = rotated(s[4], 6) ^ rotated(s[4], 11) ^ rotated(s[4], 25);
        uint32_t first = s[7] + a + ((s[4] & s[5]) ^ (~s[4] & s[6])) + constants[i] + words[i];
        uint32_t b = rotated(s[0], 2) ^ rotated(s[0], 13) ^ rotated(s[0], 22);
        uint32_t second = b + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
        memmove(s + 1, s, 7 * sizeof *s);
        s[4] += first;
        s[0] = first + second;
    }
    for (int i = 0; i < 8; i++)
        state[i] += s[i];
}

static void sha256_begin(struct sha256 *digest) {
    static const uint32_t first[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memcpy(digest->state, first, sizeof first);
    digest->length = 0;
}

static void sha256_add(struct sha256 *digest, const uint8_t *data, size_t size) {
    for (; size > 0; data++, size--) {
        size_t at = digest->length % 64;
        if (at == 0 && size >= 64) {
            sha256_block(digest->state, data);
            digest->length += 64;
            data += 63;
            size -= 63;
            continue;
        }
        digest->block[at] = *data;
        if (++digest->length % 64 == 0)
            sha256_block(digest->state, digest->block);
    }
}

static void sha256_end(struct sha256 *digest) {
    uint64_t bits = digest->length * 8;
    uint8_t end[72] = {0x80};
    size_t padding = 1 + (119 - digest->length % 64) % 64;
    for (int i = 0; i < 8; i++)
        end[padding + (size_t)i] = (uint8_t)(bits >> (56 - 8 * i));
    sha256_add(digest, end, padding + 8);
}

static void print_hex(const void *data, size_t size) {
    for (size_t i = 0; i < size; i++)
        printf("%02x", ((const uint8_t *)data)[i]);
    if (size == 0)
        putchar('-');
}

static void print_file(int fd) {
    static uint8_t buffer[1 << 18];
    struct sha256 digest;
    ssize_t length;
    sha256_begin(&digest);
    while ((length = read(fd, buffer, sizeof buffer)) > 0)
        sha256_add(&digest, buffer, (size_t)length);
    if (length < 0)
        die("read");
    sha256_end(&digest);
    for (int i = 0; i < 8; i++)
        printf("%08x", digest.state[i]);
}

static void print_xattrs(const char *path) {
    static char names[1 << 16], value[1 << 16];
    ssize_t size = llistxattr(path, names, sizeof names);
    if (size < 0 && errno != ENOTSUP)
        die(path);
    if (size <= 0)
        putchar('-');
    for (char *name = names; size > 0 && name < names + size; name += strlen(name) + 1) {
        ssize_t length = lgetxattr(path, name, value, sizeof value);
        if (length < 0)
            die(name);
        print_hex(name, strlen(name));
        putchar('=');
        print_hex(value, (size_t)length);
        putchar(',');
    }
}

/* `directory` is open at a path that is `shown` to others and `real` here. */
static void list(const char *real, const char *shown) {
    static char target[1 << 13];
    struct stat status;
    if (lstat(real, &status) != 0)
        die(real);
    print_hex(shown, strlen(shown));
    printf(" %o %u %u %lld %ld %u:%u %llu.%llu %lld ", status.st_mode, status.st_uid, status.st_gid,
           (long long)status.st_mtim.tv_sec, status.st_mtim.tv_nsec, major(status.st_rdev), minor(status.st_rdev),
           (unsigned long long)status.st_dev, (unsigned long long)status.st_ino, S_ISDIR(status.st_mode) ? 0LL : (long long)status.st_size);
    if (S_ISREG(status.st_mode)) {
        int fd = open(real, O_RDONLY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC);
        if (fd < 0)
            die(real);
        print_file(fd);
        close(fd);
    } else if (S_ISLNK(status.st_mode)) {
        ssize_t length = readlink(real, target, sizeof target);
        if (length < 0)
            die(real);
        print_hex(target, (size_t)length);
    } else {
        putchar('-');
    }
    putchar(' ');
    print_xattrs(real);
    putchar('\n');
    if (!S_ISDIR(status.st_mode))
        return;
    DIR *listing = opendir(real);
    if (listing == NULL)
        die(real);
    for (struct dirent *entry; (entry = readdir(listing)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        size_t size = strlen(real) + strlen(entry->d_name) + 2;
        char *below = malloc(size), *name = malloc(size);
        if (below == NULL || name == NULL)
            die("memory");
        snprintf(below, size, "%s/%s", real, entry->d_name);
        snprintf(name, size, "%s%s%s", shown, *shown ? "/" : "", entry->d_name);
        list(below, name);
        free(below);
        free(name);
    }
    closedir(listing);
}

static void find_image(char *device, size_t size) {
    DIR *listing = opendir("/sys/block");
    if (listing == NULL)
        die("/sys/block");
    for (struct dirent *entry; (entry = readdir(listing)) != NULL;) {
        char path[512], serial[64] = "";
        snprintf(path, sizeof path, "/sys/block/%s/serial", entry->d_name);
        FILE *file = fopen(path, "r");
        if (file == NULL)
            continue;
        if (fgets(serial, sizeof serial, file) != NULL && strncmp(serial, "image", 5) == 0) {
            snprintf(device, size, "/dev/%s", entry->d_name);
            fclose(file);
            closedir(listing);
            return;
        }
        fclose(file);
    }
    errno = ENOENT;
    die("the disk of the image");
}

int main(int count, char **words) {
    if (count != 2)
        return 2;
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        die("a mount namespace");
    int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (mount("lister", "/proc", "tmpfs", 0, "mode=0700") != 0 || mkdir("/proc/tree", 0700) != 0)
        die("a place to mount at");
    if (strcmp(words[1], "image") == 0) {
        char device[300];
        find_image(device, sizeof device);
        if (mount(device, "/proc/tree", "erofs", MS_RDONLY, NULL) != 0)
            die(device);
    } else if (fchdir(root) != 0 || mount(".", "/proc/tree", NULL, MS_BIND, NULL) != 0) {
        die("the root once more");
    }
    list("/proc/tree", "");
    return fflush(stdout) == 0 ? 0 : 1;
}
