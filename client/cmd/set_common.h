/* The ground that `set image|resources|env|selector|serviceaccount` share: objects from the cluster or (--local) from
 * files are changed as documents; what differs is sent as a merge patch that holds only for the version it was made
 * of, and made anew when that has passed. */
#ifndef CLIENT_CMD_SET_COMMON_H
#define CLIENT_CMD_SET_COMMON_H

#include "client/cmd/common.h"

#define OPTION_ROWS_SET                                                                                                \
    OPTION_ROW_SELECTOR, OPTION_ROW_ALL, OPTION_ROWS_FILES, OPTION_ROWS_WRITE, OPTION_ROW_DRY_RUN, OPTION_ROW_OUTPUT,  \
    {                                                                                                                  \
        "local", 0, OPTION_FLAG, NULL, NULL, NULL, "change what -f holds and print it; ask no cluster"                 \
    }
#define OPTION_ROW_CONTAINERS                                                                                          \
    {                                                                                                                  \
        "containers", 'c', OPTION_VALUE, "*", NULL, "PATTERN", "which containers, * stands for anything"               \
    }

/* Changes doc; title: "deployment.apps/web". */
typedef int set_change(struct rctl *r, struct value *doc, const char *title, void *data, struct error *err);
int set_run(struct rctl *r, const char *done, set_change *change, void *data);

/* The pod's spec in a document; NULL with err: it has none. */
struct value *set_pod_spec(struct value *doc, const char *title, struct error *err);
/* Calls for each container (init containers too) that -c fits; ERR_NOT_FOUND if none does. */
typedef int set_container(struct rctl *r, struct value *container, void *data, struct error *err);
int set_containers(struct rctl *r, struct value *doc, const char *title, const char *pattern, set_container *each,
                   void *data, struct error *err);

extern const struct command set_env_command;

#endif
