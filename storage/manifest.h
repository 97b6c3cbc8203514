/*
 * manifest: mends RocksDB's list of files when the power was lost while it grew.
 *
 * RocksDB forgives a torn tail in its log but not in its manifest: half a sector of garbage
 * after the last synced record, and the store would not open again. Cutting that tail off is
 * safe, since what it said had not been acted upon; should it have been (rot in the last
 * record), the files it named or released are missed at once, and the store is refused.
 */
#ifndef STORAGE_MANIFEST_H
#define STORAGE_MANIFEST_H

#include "service/base/base.h"

/* True when the manifest of the folder had a damaged tail and is now without it. False, and
 * nothing changed, when it is whole, or damaged before its last record. */
[[nodiscard]] bool manifest_mend(const char *folder);

/* How many bytes of a log-format file are good; equal to file.len when it is whole. True when
 * good records follow what is damaged: then it is no torn tail. */
size_t manifest_good_bytes(str file, bool *ret_more_follows);

#endif
