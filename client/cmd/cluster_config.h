/* rctl cluster show, show admission, and set, for the rows of rctl cluster. */
#ifndef CLIENT_CMD_CLUSTER_CONFIG_H
#define CLIENT_CMD_CLUSTER_CONFIG_H

#include "client/cmd/rctl.h"

extern const struct command cluster_show, cluster_set;
int cluster_show_admission(struct rctl *r); /* cluster_admission.c; the exit code */

#endif
