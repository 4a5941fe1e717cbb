/* PID 1 of the initramfs: from an empty machine to the image's root. docs/agent-protocol.md, "Init duties". */
#include "agent.h"
#include "seed.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define RESIZE_EXT4 _IOW('f', 16, uint64_t) /* EXT4_IOC_RESIZE_FS, linux/fs/ext4/ext4.h */

enum { DEVICE_WAIT_MS = 10000, STEP_MS = 5 };

static const char *phase = "modules";
static uint64_t began_ns, ended_ns;

static int failed(const char *what) {
    int saved = errno;
    dprintf(1, "banger-agent: %s: %s: %s\n", phase, what, strerror(saved));
    errno = saved;
    return -1;
}

static void pause_ms(int milliseconds) {
    nanosleep(&(struct timespec){.tv_nsec = milliseconds * 1000000L}, NULL);
}

static int mount_at(const char *type, const char *target, unsigned long flags, const char *data) {
    mkdir(target, 0755);
    return mount(type, target, type, flags, data) == 0 || errno == EBUSY ? 0 : failed(target);
}

static int mount_basics(void) {
    if (mount_at("devtmpfs", "/dev", MS_NOSUID, "mode=0755") != 0 ||
        mount_at("proc", "/proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) != 0 ||
        mount_at("sysfs", "/sys", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) != 0)
        return -1;
    int console = open("/dev/console", O_RDWR);
    if (console >= 0) {
        for (int i = 0; i < 3; i++)
            dup2(console, i);
        if (console > 2)
            close(console);
    }
    return 0;
}

static int load_modules(const char *list) {
    FILE *file = fopen(list, "re");
    if (file == NULL)
        return errno == ENOENT ? 0 : failed(list);
    char path[PATH_SIZE];
    int result = 0;
    while (result == 0 && fgets(path, sizeof path, file) != NULL) {
        path[strcspn(path, "\n")] = 0;
        int fd = path[0] ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        if (path[0] && (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) != 0 && errno != EEXIST)))
            result = failed(path);
        if (fd >= 0)
            close(fd);
    }
    fclose(file);
    return result;
}

/* The device whose file `attribute` in sysfs says `wanted`; waits for it to appear. 0, or -1 and ENODEV. */
static int find_device(const char *directory, const char *attribute, const char *wanted, char *device, size_t size) {
    for (int passed_ms = 0; passed_ms < DEVICE_WAIT_MS; passed_ms += STEP_MS) {
        DIR *listing = opendir(directory);
        bool found = false;
        for (struct dirent *entry; !found && listing != NULL && (entry = readdir(listing)) != NULL;) {
            char path[384], text[128] = "";
            snprintf(path, sizeof path, "%s/%s/%s", directory, entry->d_name, attribute);
            int fd = open(path, O_RDONLY | O_CLOEXEC);
            if (fd < 0)
                continue;
            ssize_t length = read(fd, text, sizeof text - 1);
            close(fd);
            text[length > 0 ? length : 0] = 0;
            text[strcspn(text, "\n")] = 0;
            found = strcmp(text, wanted) == 0;
            if (found)
                snprintf(device, size, "/dev/%s", entry->d_name);
        }
        if (listing != NULL)
            closedir(listing);
        if (found)
            return 0;
        pause_ms(STEP_MS);
    }
    errno = ENODEV;
    return -1;
}

/* A disk by the serial number of its virtio block device. */
int find_disk(const char *serial, char *device, size_t size) {
    return find_device("/sys/block", "serial", serial, device, size) == 0 ? 0 : failed(serial);
}

static int mount_disk(const char *serial, const char *target, const char *type, unsigned long flags,
                      const char *options) {
    char device[320];
    if (find_disk(serial, device, sizeof device) != 0)
        return -1;
    mkdir(target, 0700);
    return mount(device, target, type, flags, options) == 0 ? 0 : failed(target);
}

/* The host may have made the disk larger while the VM was stopped; ext4 grows while it is mounted (resize ioctl,
   linux/fs/ext4/resize.c) and returns at once when there is nothing to do. A disk that does not grow is no reason not
   to boot. */
static void grow_data(const struct seed *seed, const char *mounted) {
    char device[320];
    uint64_t size = 0;
    struct statfs status;
    int disk = find_disk(seed->data, device, sizeof device) == 0 ? open(device, O_RDONLY | O_CLOEXEC) : -1;
    int root = open(mounted, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (disk >= 0 && root >= 0 && fstatfs(root, &status) == 0 && status.f_bsize > 0 &&
        ioctl(disk, BLKGETSIZE64, &size) == 0) {
        uint64_t blocks = size / (uint64_t)status.f_bsize;
        if (ioctl(root, RESIZE_EXT4, &blocks) != 0)
            failed("growing the disk");
    }
    if (disk >= 0)
        close(disk);
    if (root >= 0)
        close(root);
}

static int mount_root(const struct seed *seed) {
    /* Tables that were never written stay unwritten: the host's file is sparse, and nothing is busy at the end. */
    if (mount_disk(seed->root, "/image", seed->root_fs, MS_RDONLY, NULL) != 0 ||
        mount_disk(seed->data, "/data", "ext4", MS_NOATIME, "noinit_itable,discard") != 0)
        return -1;
    grow_data(seed, "/data");
    phase = "root";
    mkdir("/data/upper", 0755);
    mkdir("/data/work", 0700);
    mkdir("/new", 0755);
    if (mount("overlay", "/new", "overlay", MS_NOATIME,
              "lowerdir=/image,upperdir=/data/upper,workdir=/data/work,index=off,metacopy=off,redirect_dir=off") != 0)
        return failed("/new");
    return 0;
}

static int move_mount_into(const char *source, const char *target) {
    mkdir(target, 0755);
    return mount(source, target, NULL, MS_MOVE, NULL) == 0 ? 0 : failed(target);
}

/* What lives on the data disk itself begins with what the image has there. */
static int make_direct(const struct seed *seed) {
    mkdir("/data/direct", 0755);
    int image = open("/image", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int direct = open("/data/direct", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = 0;
    for (int i = 0; result == 0 && i < seed->direct_count; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d", i);
        result = populate(image, seed->direct[i] + strspn(seed->direct[i], "/"), direct, name);
        if (result != 0)
            failed(seed->direct[i]);
    }
    close(image);
    close(direct);
    return result;
}

static int switch_root(const struct seed *seed) {
    phase = "seed";
    /* Before the files, because some of them are for /run. */
    if (mount_at("tmpfs", "/new/run", MS_NOSUID | MS_NODEV, "mode=0755") != 0)
        return -1;
    int root = open("/new", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0 || seed_copy_files("/seed/files", root) != 0)
        return failed("files");
    close(root);
    if (make_direct(seed) != 0)
        return -1;
    phase = "switch";
    if (move_mount_into("/dev", "/new/dev") != 0 || move_mount_into("/proc", "/new/proc") != 0 ||
        move_mount_into("/sys", "/new/sys") != 0)
        return -1;
    /* The key in the seed and the modules would stay in memory for as long as the guest runs. */
    const char *const useless[] = {"seed", "modules", "etc"};
    int old = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = 0; i < sizeof useless / sizeof *useless; i++)
        remove_tree(old, useless[i]);
    int data = open("/data/direct", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (chdir("/new") != 0 || mount(".", "/", NULL, MS_MOVE, NULL) != 0 || chroot(".") != 0 || chdir("/") != 0)
        return failed("/new");
    close(old);
    for (int i = 0; i < seed->direct_count && data >= 0; i++) {
        /* Through the descriptor: the data disk has no name in the new root. */
        char source[64];
        snprintf(source, sizeof source, "/proc/self/fd/%d/%d", data, i);
        if (seed->direct[i][0] != '/' || make_directories(seed->direct[i]) != 0 ||
            mount(source, seed->direct[i], NULL, MS_BIND, NULL) != 0)
            failed(seed->direct[i]);
    }
    close(data);
    return 0;
}

static int mount_rest(const struct seed *seed) {
    mkdir("/dev/pts", 0755);
    mkdir("/dev/shm", 01777);
    mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "gid=5,mode=0620,ptmxmode=0666");
    mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
    symlink("/proc/self/fd", "/dev/fd");
    symlink("/proc/self/fd/0", "/dev/stdin");
    symlink("/proc/self/fd/1", "/dev/stdout");
    symlink("/proc/self/fd/2", "/dev/stderr");
    mkdir("/tmp", 01777);
    chmod("/tmp", 01777);
    if (strcmp(seed->init, "none") == 0)
        mount("cgroup2", "/sys/fs/cgroup", "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
    struct utsname names;
    char target[PATH_SIZE], device[320];
    if (seed->modules_disk[0] == 0 || uname(&names) != 0)
        return 0;
    snprintf(target, sizeof target, "/lib/modules/%s", names.release);
    if (make_directories(target) != 0 || find_disk(seed->modules_disk, device, sizeof device) != 0 ||
        mount(device, target, "erofs", MS_RDONLY, NULL) != 0)
        return failed(target);
    return 0;
}

int open_channel(const char *channel) {
    const char *wanted = strchr(channel, ':');
    char device[320];
    if (wanted == NULL || find_device("/sys/class/virtio-ports", "name", wanted + 1, device, sizeof device) != 0) {
        errno = ENODEV;
        return -1;
    }
    return open(device, O_RDWR | O_NONBLOCK | O_CLOEXEC);
}

static bool only_when_broken(enum stream_kind kind) { return kind == INFO || kind == SHUTDOWN; }

static void serve(int fd, bool broken) {
    struct session session = {.fd = fd,
                              .phase = phase,
                              .init_began_ns = began_ns,
                              .init_ended_ns = ended_ns,
                              .may_open = broken ? only_when_broken : NULL};
    signal(SIGPIPE, SIG_IGN);
    children_begin();
    int score = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (score >= 0) {
        ssize_t ignored = write(score, "-1000", 5);
        (void)ignored;
        close(score);
    }
    if (!broken && pid1_mode == 1)
        entrypoint_start();
    session_run(&session);
}

static int prepare_root(struct seed *seed) {
    if (mount_basics() != 0 || load_modules("/etc/banger/modules") != 0)
        return -1;
    if (seed_read(seed, "/seed/config") != 0)
        return failed("/seed/config");
    seed_apply_clock(seed);
    entrypoint_read("/seed/entrypoint");
    phase = "disks";
    if (mount_root(seed) != 0 || switch_root(seed) != 0 || mount_rest(seed) != 0)
        return -1;
    seed_apply_network(seed);
    if (seed_apply_identity(seed) != 0)
        failed("identity"); /* an image whose /etc leads nowhere still runs commands */
    phase = "running";
    return 0;
}

static void become_init(const char *path) {
    char *const arguments[] = {(char *)path, NULL};
    char *const environment[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=linux", NULL};
    execve(path, arguments, environment);
    failed(path);
}

int run_as_init(void) {
    static struct seed seed = {.init = "none", .root = "image", .root_fs = "erofs", .data = "data",
                               .channel = "virtio:banger.channel"};
    began_ns = boot_clock_ns();
    umask(022);
    bool broken = prepare_root(&seed) != 0;
    ended_ns = boot_clock_ns();
    pid1_mode = 1;
    int channel = open_channel(seed.channel);
    if (channel < 0)
        failed(seed.channel);
    if (!broken && channel >= 0 && strcmp(seed.init, "none") != 0) {
        pid_t server = fork();
        if (server == 0) {
            setsid();
            pid1_mode = 0;
            prctl(PR_SET_CHILD_SUBREAPER, 1); /* what programs leave behind stays ours, to be ended at shutdown */
            serve(channel, false);
            _exit(0);
        }
        if (server > 0) {
            close(channel);
            become_init(seed.init);
            kill(server, SIGKILL); /* there is no such init: we stay */
            channel = open_channel(seed.channel);
        }
    }
    if (channel >= 0)
        serve(channel, broken);
    for (;;)
        pause();
}
