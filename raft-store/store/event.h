/* Events into a transaction, for all who decide on the tip. Pure. Leader only. */
#ifndef RAFT_STORE_STORE_EVENT_H
#define RAFT_STORE_STORE_EVENT_H

#include "proto/facts/event.h"
#include "raft-store/store/txn.h"
#include "raft-store/store/view.h"

/* doc: an event that has what event_name asks for (event_document makes one); it gets its name, namespace, times and
 * count here. If `tip` has the same event it is counted up instead, and the document is dropped. Nothing is written,
 * and 0 returned, where nobody would look: its namespace is gone or being deleted. check: 0 for a document of our
 * own; else flags for kind_check, which a new one must pass. The caller writes the same event once in a transaction
 * (event_in_txn). Errors: kind_check's, ERR_TOO_LARGE. */
int event_put(struct txn *t, struct arena *a, const struct view *tip, struct value *doc, int64_t wall_ms,
              unsigned check, struct error *err);
/* Is the same event in the transaction already? Looks through all of it. */
bool event_in_txn(const struct txn *t, struct arena *a, const struct value *doc);

#endif
