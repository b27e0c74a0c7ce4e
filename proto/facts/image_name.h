/* Names of images, as people write them and in full. Source: distribution/reference, [HOST[:PORT]/]COMPONENT
 * [/COMPONENT]...[:TAG][@sha256:HEX]. Pure. */
#ifndef PROTO_FACTS_IMAGE_NAME_H
#define PROTO_FACTS_IMAGE_NAME_H

#include "base/err.h"
#include "base/str.h"

#define IMAGE_REF_MAX  512
#define IMAGE_HEX_SIZE 65 /* 64 digits and NUL */

/* "nginx" -> "docker.io/library/nginx:latest"; "a/b:1" -> "docker.io/a/b:1"; "host:5000/x", "localhost/x" keep their
 * host; "x@sha256:..." keeps the digest. ERR_INVALID: "couldn't parse image reference", and what is wrong with it. No
 * error has a password of it. */
int image_name_normalise(struct str ref, char out[IMAGE_REF_MAX], struct error *err);

/* The name for people: of "user:password@host/x" nobody is told what stands before the "@". */
void image_name_shown(const char *ref, char out[IMAGE_REF_MAX]);

/* "sha256:HEX" -> HEX; false: it is none. */
bool image_digest_hex(struct str digest, char hex[IMAGE_HEX_SIZE]);

#endif
