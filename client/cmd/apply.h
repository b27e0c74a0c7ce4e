/* What apply has beside applying: --prune, --overwrite=false, and the commands about what was applied last. */
#ifndef CLIENT_CMD_APPLY_H
#define CLIENT_CMD_APPLY_H

#include "client/cmd/common.h"

extern const struct command apply_view_last, apply_edit_last, apply_set_last;

/* --prune goes with -l or --all; the kinds that --prune-allowlist names are known. To be asked before anything is
 * done. ERR_USAGE. */
int apply_prune_check(struct rctl *r, struct error *err);
/* Deletes what was applied once, fits -l, lies in a namespace of the manifests and is not in them any more. Returns
 * an exit code. */
int apply_prune(struct rctl *r, const struct manifest *m, enum dry_run dry);
/* --overwrite=false: ERR_CONFLICT if somebody has changed a field by other means that the manifest would change
 * back. */
int apply_check_overwrite(struct rctl *r, const struct manifest_item *item, struct error *err);

#endif
