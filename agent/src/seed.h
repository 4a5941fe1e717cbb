/* The seed: who this VM is. docs/agent-protocol.md, "Init duties and the seed". */
#ifndef BANGER_SEED_H
#define BANGER_SEED_H

#include <stdint.h>

enum { SEED_VALUE = 256, SEED_DIRECT = 16 };

struct seed {
    char hostname[SEED_VALUE], init[SEED_VALUE];
    char root[SEED_VALUE], root_fs[SEED_VALUE], data[SEED_VALUE], modules_disk[SEED_VALUE];
    char direct[SEED_DIRECT][SEED_VALUE];
    int direct_count;
    char address[SEED_VALUE], gateway[SEED_VALUE], dns[SEED_VALUE], channel[SEED_VALUE];
    uint64_t clock_ns;
    unsigned mtu;
};

int seed_read(struct seed *seed, const char *path);     /* 0, or -1 and errno */
int seed_apply_identity(const struct seed *seed);       /* after the switch to the new root */
void seed_apply_network(const struct seed *seed);
void seed_apply_clock(const struct seed *seed);
int seed_copy_files(const char *source, int root);      /* before the switch; `root` is the new root */

#endif
