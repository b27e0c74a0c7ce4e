/* Subcommands of `rctl token` that have files of their own. */
#ifndef CLIENT_CMD_TOKEN_H
#define CLIENT_CMD_TOKEN_H

#include "client/cmd/rctl.h"

extern const struct command token_list;

#endif
