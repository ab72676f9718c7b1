//! Encryption, certificates and passwords, with clients that are not ours: curl and OpenSSL.
