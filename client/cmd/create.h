/* What the subcommands of create share. */
#ifndef CLIENT_CMD_CREATE_H
#define CLIENT_CMD_CREATE_H

#include "client/cmd/common.h"

#define OPTION_ROWS_CREATE                                                                                             \
    OPTION_ROWS_WRITE, {"save-config", 0, OPTION_FLAG, NULL, NULL, NULL, "keep it as what apply will compare with"},   \
        OPTION_ROW_DRY_RUN, OPTION_ROW_OUTPUT

/* apiVersion, kind, name; the namespace unless it is only printed and -n was not given. */
struct value *create_document(struct rctl *r, const char *api_version, const char *kind, const char *name,
                              bool namespaced);
/* Checks a document made here, then creates or prints it. Returns an exit code. */
int create_made(struct rctl *r, struct value *doc);
/* The same, told as `service/web exposed`. */
int create_made_as(struct rctl *r, struct value *doc, const char *verb);

/* Containers of the images of --image; the words behind -- are the command of the first. port 0: none. */
void create_containers(struct rctl *r, struct value *pod_spec, int64_t port);

extern const struct command create_configmap, create_secret, create_job, create_cronjob, create_ingress, create_budget,
    create_quota, create_priorityclass, create_account, create_token, create_role, create_clusterrole,
    create_rolebinding, create_clusterrolebinding;

#endif
