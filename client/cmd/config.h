/* Subcommands of `rctl config` that change the file (cmd/config_set.c), for the list in cmd/config.c. */
#ifndef CLIENT_CMD_CONFIG_H
#define CLIENT_CMD_CONFIG_H

#include "client/cmd/rctl.h"

extern const struct command config_set_context, config_set_cluster, config_set_credentials, config_rename_context,
    config_delete_context, config_delete_cluster, config_delete_user, config_set, config_unset;
extern const struct command config_kubeconfig; /* cmd/config_kube.c */
/* The same as a document, with a token instead of the target's certificate unless it is NULL. */
struct value *kubeconfig_document(struct arena *a, const struct config_target *t, const char *server,
                                  const char *token);

#endif
