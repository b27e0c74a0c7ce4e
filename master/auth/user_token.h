/* Tokens of users: what `rctl user add NAME --token` gives, for programs that cannot keep a key.
 *
 * A token is "reeve-user.ID.SECRET": ID 10 and SECRET 32 letters and digits by chance. The state has Secret
 * kube-system/reeve-user-ID, which the masters and administrators alone write, and of the token no more than a hash:
 *   user, groups    whose it is; groups one a line
 *   sha256          of the token, hexadecimal
 *   issued          ms since the epoch: `rctl cert revoke user/NAME` ends it as it ends his certificates
 *   until           s since the epoch; absent: it has no end
 * Whoever deletes the Secret ends the token, at once and on all masters.
 *
 * user_token_is and user_token_find are asked for every request that comes with one: a look into the state and one
 * hash. Loop thread only. */
#ifndef MASTER_AUTH_USER_TOKEN_H
#define MASTER_AUTH_USER_TOKEN_H

#include "master/auth/principal.h"
#include "raft-store/store/txn.h"
#include "raft-store/store/view.h"

#define USER_TOKEN_SIZE 64u /* its text, with NUL */

struct master;
bool user_token_is(struct str token); /* has it this form? */
/* Leader: a new one and its Secret. groups: as principal_own_groups has them. life_s 0: no end. Wipe the text. */
int user_token_make(struct master *m, struct txn *t, const char *name, const char *groups, int64_t life_s,
                    char out[USER_TOKEN_SIZE], int64_t *until_s, struct error *err);
/* Whose it is. ERR_UNAUTHORIZED: nobody's, or its time is over, or it was revoked. */
int user_token_find(struct master *m, struct str token, struct principal *out, struct error *err);
/* Is the Secret of this principal still there? ERR_UNAUTHORIZED. */
int user_token_holds(const struct view *v, const struct principal *p, struct error *err);

#endif
