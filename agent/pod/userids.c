#include "agent/pod/userids.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "agent/util/userns.h"
#include "base/mem.h"

struct userids {
    uint32_t first;
    unsigned pods, next; /* where the search begins */
    char **owners;       /* by block; NULL = free */
};

struct userids *userids_new(uint32_t first, unsigned pods)
{
    assert(pods <= USERIDS_PODS_MAX && (pods == 0 || (first != 0 && first % USERNS_IDS == 0)));
    struct userids *u = xcalloc(1, sizeof *u);
    u->first = first;
    u->pods = pods;
    u->owners = xcalloc(pods + 1, sizeof *u->owners);
    return u;
}

void userids_free(struct userids *u)
{
    for (unsigned i = 0; u != NULL && i < u->pods; i++) {
        free(u->owners[i]);
    }
    if (u != NULL) {
        free(u->owners);
        free(u);
    }
}

static unsigned find(const struct userids *u, const char *uid)
{
    unsigned i = 0;
    while (i < u->pods && (u->owners[i] == NULL || strcmp(u->owners[i], uid) != 0)) {
        i++;
    }
    return i;
}

uint32_t userids_take(struct userids *u, const char *uid)
{
    unsigned at = find(u, uid);
    for (unsigned i = 0; at == u->pods && i < u->pods; i++) {
        unsigned block = (u->next + i) % u->pods;
        if (u->owners[block] == NULL) {
            u->owners[block] = xstrdup(uid);
            u->next = block + 1;
            at = block;
        }
    }
    return at == u->pods ? 0 : u->first + at * USERNS_IDS;
}

void userids_keep(struct userids *u, const char *uid, uint32_t first)
{
    uint32_t block = (first - u->first) / USERNS_IDS; /* far too large for one below */
    if (block < u->pods && first == u->first + block * USERNS_IDS && u->owners[block] == NULL &&
        find(u, uid) == u->pods) {
        u->owners[block] = xstrdup(uid);
        u->next = MAX(u->next, block + 1);
    }
}

void userids_give(struct userids *u, const char *uid)
{
    unsigned at = find(u, uid);
    if (at < u->pods) {
        free(TAKE_PTR(u->owners[at]));
    }
}

const char *userids_next(const struct userids *u, unsigned *cursor)
{
    while (*cursor < u->pods) {
        const char *uid = u->owners[(*cursor)++];
        if (uid != NULL) {
            return uid;
        }
    }
    return NULL;
}
