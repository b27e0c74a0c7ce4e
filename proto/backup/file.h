/* How a backup lies in a file: encrypted with a passphrase, in chunks, so that it can be written and read as a stream.
 * Pure: no I/O.
 *
 *   header, BACKUP_HEADER_SIZE bytes (later formats may have longer ones), in clear, authenticated with the first
 *   chunk:
 *      0  "RVB1"
 *      4  u16 format (BACKUP_FORMAT)     6  u16 flags: must be understood; none in format 1
 *      8  u32 size of the header        12  u32 size of a chunk's text
 *     16  char[32] version of the Reeve that made it, NUL padded
 *     48  u8 key derivation (1 = scrypt), u8 log2(N), u8 r, u8 p       52  u8[32] salt      84  0
 *   chunks: u32 size of the text | BACKUP_FINAL on the last one, AES-256-GCM ciphertext, 16 bytes tag
 * Integers are little-endian. All chunks but the last have the full size. Nonce: u64 number of the chunk, u32 1 on the
 * last and else 0; the key belongs to this file alone (the salt is random), so no nonce comes twice, and cut,
 * reordered, repeated or foreign chunks do not open (the STREAM construction of Hoang, Reyhanitabar, Rogaway and
 * Vizár, 2015). The first chunk's additional data is the header.
 *
 * Key: scrypt(passphrase, salt), N = 2^17, r = 8, p = 1: 128 MiB and about half a second a guess (OWASP's advice for
 * 2023).
 *
 * Who encrypts: rctl, on the administrator's machine. The passphrase, and what is derived from it, never leaves that
 * machine, and no master spends 128 MiB on a stranger's wish. The CA's key and the key of Secrets travel to rctl inside
 * TLS 1.3; that gives an administrator nothing new: with `rctl token create --role master` he can have a master that is
 * handed the same keys. Whom a role lets post /rpc/backup (master/auth/access.h) has the cluster. */
#ifndef PROTO_BACKUP_FILE_H
#define PROTO_BACKUP_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define BACKUP_HEADER_SIZE      128u
#define BACKUP_HEADER_MAX       4096u
#define BACKUP_CHUNK            (256u << 10)
#define BACKUP_CHUNK_MAX        (1u << 20)
#define BACKUP_FINAL            0x80000000u
#define BACKUP_TAG_SIZE         16u
#define BACKUP_KEY_SIZE         32u
#define BACKUP_SCRYPT_LOG2_N    17u
#define BACKUP_SCRYPT_BYTES_MAX (512ull << 20) /* what a file may make its reader spend */
#define BACKUP_PASSPHRASE_MIN   8u

/* ---- Writing ---- */

struct backup_sealer;
/* Derives the key (takes half a second), and appends the header to out. log2_n: 0 = BACKUP_SCRYPT_LOG2_N; less for
 * tests only. */
int backup_sealer_new(struct str passphrase, unsigned log2_n, struct buf *out, struct backup_sealer **sealer,
                      struct error *err);
void backup_sealer_free(struct backup_sealer *s); /* NULL is fine */
/* Text in; whole chunks are appended to out. */
void backup_sealer_feed(struct backup_sealer *s, const void *p, size_t n, struct buf *out);
void backup_sealer_finish(struct backup_sealer *s, struct buf *out); /* once; the last chunk */

/* ---- Reading ---- */

struct backup_file_info {
    unsigned format;
    char version[33];
    unsigned log2_n, r, p;
    uint32_t chunk_size;
};
struct backup_opener;
/* The passphrase is copied, and wiped when the key has been derived. */
struct backup_opener *backup_opener_new(struct str passphrase);
/* The key itself instead of the passphrase: nothing is derived (fuzzing, tests). */
struct backup_opener *backup_opener_new_with_key(const uint8_t key[BACKUP_KEY_SIZE]);
void backup_opener_free(struct backup_opener *o); /* NULL is fine */
/* Arbitrary bytes of a file in; the text of every chunk that is whole and opens is appended to out (which the caller
 * empties). ERR_CORRUPT: not a backup, wrong passphrase or damaged file, damage (names the byte). ERR_UNSUPPORTED:
 * of a newer format. After an error: only free. */
int backup_opener_feed(struct backup_opener *o, const void *p, size_t n, struct buf *out, struct error *err);
/* The file ends here. ERR_CORRUPT if the last chunk has not been seen. */
int backup_opener_finish(struct backup_opener *o, struct error *err);
/* NULL until the header has been read. */
const struct backup_file_info *backup_opener_info(const struct backup_opener *o);

#endif
