/* metadata.managedFields as JSON, straight from the stored form (stored.c): nothing is decoded, and no kind is
 * asked. */
#ifndef PROTO_MANAGED_FIELDS_V1_H
#define PROTO_MANAGED_FIELDS_V1_H

#include "base/buf.h"

/* The member of metadata that holds the stored form, as bytes. No table has it: programs that do not know it carry it
 * through, and what a user writes under this name is an unknown field. Written from RELEASE_LEVEL_CARRIED on. */
#define MANAGED_MEMBER "managed"

/* Appends the list of ManagedFieldsEntry, each of this version. False, and nothing is appended: the bytes are no stored
 * form, or there is no entry. */
bool managed_write_json(struct buf *out, struct str bytes, struct str api_version);

#endif
