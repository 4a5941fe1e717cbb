/* A tree stream that is written below a directory: docs/agent-protocol.md, "Tree stream". */
#ifndef BANGER_TREE_H
#define BANGER_TREE_H

#include "agent.h"

#include <time.h>

struct record {
    char kind;
    uint32_t mode, uid, gid;
    int64_t seconds;
    uint32_t nanoseconds;
    uint64_t size;
    char path[PATH_SIZE];
};

/* A directory gets its mode and time when all below it is written: they would forbid or change it. */
struct late {
    struct late *next;
    uint32_t mode, uid, gid;
    struct timespec time;
    char path[];
};

struct tree {
    int root; /* below it everything is written; whose it is, closes it */
    bool keep_owners, have_record, complete;
    struct record record;
    uint64_t left;
    int file;
    struct buffer head, target;
    struct late *late;
    int parent; /* the directory of the last record, which the next one often shares */
    char parent_path[PATH_SIZE];
};

void tree_begin(struct tree *tree, int root, bool keep_owners);
void tree_take(struct tree *tree, const uint8_t *bytes, size_t length, struct outcome *outcome);
void tree_end(struct tree *tree); /* removes a file that is not complete */

#endif
