/* A text in the user's editor, until it can be saved: edit, create --edit, apply edit-last-applied.
 *
 * The editor is REEVE_EDITOR, KUBE_EDITOR, VISUAL, EDITOR or vi, the first that is set. The text lies in a file in
 * TMPDIR that only this user may read. It is removed at the end unless it holds what the user typed and nobody else
 * has; then its place is told. */
#ifndef CLIENT_CMD_EDITOR_H
#define CLIENT_CMD_EDITOR_H

#include "client/cmd/rctl.h"

/* Takes what was typed (comment lines in front are off). 0: it is done, with what is to be exited with in *code.
 * ERR_INVALID, ERR_FORBIDDEN: the editor opens again with the message (and with *again, if set, in the place of the
 * text). Other errors end the editing. */
typedef int editor_save(struct rctl *r, const char *text, const char **again, int *code, void *data, struct error *err);

/* title: a line on top, what one should know; suffix: "yaml" (with comments) or "json" (without). unchanged_too: a text
 * that is saved as it was shown is handed on as well (create --edit), instead of ending the edit. Returns an exit
 * code. */
int editor_edit(struct rctl *r, const char *title, const char *suffix, const char *text, bool unchanged_too,
                editor_save *save, void *data);

#endif
