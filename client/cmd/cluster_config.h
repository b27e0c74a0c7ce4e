/* rctl cluster show and set, for the rows of rctl cluster. */
#ifndef CLIENT_CMD_CLUSTER_CONFIG_H
#define CLIENT_CMD_CLUSTER_CONFIG_H

#include "client/cmd/rctl.h"

extern const struct command cluster_show, cluster_set;

#endif
