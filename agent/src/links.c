/* Which path had an inode first: how hard links are found again. */
#include "agent.h"

#include <stdlib.h>
#include <string.h>

static struct link *find_slot(struct link *table, size_t capacity, uint64_t device, uint64_t inode) {
    uint64_t hash = (inode * 0x9e3779b97f4a7c15u) ^ device;
    size_t slot = (size_t)(hash ^ hash >> 32) & (capacity - 1);
    while (table[slot].path != NULL && (table[slot].device != device || table[slot].inode != inode))
        slot = (slot + 1) & (capacity - 1);
    return &table[slot];
}

static bool grow(struct links *links) {
    size_t capacity = links->capacity ? links->capacity * 2 : 256;
    struct link *table = calloc(capacity, sizeof *table);
    if (table == NULL)
        return false;
    for (size_t i = 0; i < links->capacity; i++)
        if (links->table[i].path != NULL)
            *find_slot(table, capacity, links->table[i].device, links->table[i].inode) = links->table[i];
    free(links->table);
    links->table = table;
    links->capacity = capacity;
    return true;
}

bool links_see(struct links *links, const struct stat *status, const char *path, const char **first) {
    *first = NULL;
    if (links->count * 2 >= links->capacity && !grow(links))
        return false;
    uint64_t device = (uint64_t)status->st_dev, inode = (uint64_t)status->st_ino;
    struct link *link = find_slot(links->table, links->capacity, device, inode);
    if (link->path != NULL) {
        *first = link->path;
        return true;
    }
    *link = (struct link){.device = device, .inode = inode, .path = strdup(path)};
    links->count++;
    return link->path != NULL;
}

void links_free(struct links *links) {
    for (size_t i = 0; i < links->capacity; i++)
        free(links->table[i].path);
    free(links->table);
    *links = (struct links){0};
}
