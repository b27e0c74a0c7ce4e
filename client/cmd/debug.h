/* The container that rctl debug adds: its name, its rights, what the command line says of it. */
#ifndef CLIENT_CMD_DEBUG_H
#define CLIENT_CMD_DEBUG_H

#include "client/cmd/common.h"

/* A row of --profile. */
struct debug_profile {
    const char *name;
    const char *capabilities; /* added to the container's, comma separated */
    bool shares;              /* a copy's containers see each other's processes */
    bool privileged;          /* on a node, and beside a pod */
    bool restricted;
    bool host_network, host_pid, host_ipc, host_files; /* of a pod on a node */
};
const struct debug_profile *debug_profile(struct rctl *r); /* NULL: there is none of that name */

/* PREFIX-xxxxx, made up. */
const char *debug_make_name(struct rctl *r, const char *prefix);
/* --container, or debugger-xxxxx, which is said. */
const char *debug_container_name(struct rctl *r);
struct value *debug_container_new(struct rctl *r, const char *name);
/* Rights of the profile, image, variables and command of the command line, then --custom, over what the container
 * is. */
int debug_container_fill(struct rctl *r, struct value *container, bool on_node, struct error *err);

void debug_set_flag(struct rctl *r, struct value *map, const char *key, bool on);
void debug_set_text(struct rctl *r, struct value *map, const char *key, const char *text);
/* Cuts KEY=VALUE of an option in two. ERR_USAGE. */
int debug_split_pair(const char *option, char *pair, char **second, struct error *err);

#endif
