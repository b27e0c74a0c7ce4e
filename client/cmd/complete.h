/* What could stand at the end of a command line, for the completion scripts of shells: `rctl __complete WORD... LAST`
 * prints one candidate a line. No candidates: the shell may offer files. Never fails and never says an error: a
 * cluster that does not answer soon just has no names. */
#ifndef CLIENT_CMD_COMPLETE_H
#define CLIENT_CMD_COMPLETE_H

#include "client/cmd/rctl.h"

#define COMPLETE_COMMAND "__complete"
/* words: behind COMPLETE_COMMAND; the last one is to be completed and may be "". */
int complete_run(struct rctl *r, int count, const char *const *words);
/* The script of a shell ("bash", "zsh", "fish"); NULL if it is none of them. */
const char *complete_script(const char *shell);

#endif
