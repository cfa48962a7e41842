//! Certificates, made for a test.

use std::path::{Path, PathBuf};

use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509NameBuilder};
use tempfile::TempDir;

/// A day in seconds.
const DAY: i64 = 86_400;
/// Long ago, and long from now, as seconds since 1970.
const FROM: i64 = 1_577_836_800;
const TO: i64 = 4_102_444_800;

/// An authority, and files of those that it vouches for.
pub(crate) struct Authority {
    pub(crate) folder: TempDir,
    certificate: X509,
    key: PKey<Private>,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = key();
        let mut own = begin(name, &key, TO);
        own.set_issuer_name(&named(name)).unwrap();
        own.append_extension(BasicConstraints::new().critical().ca().build().unwrap()).unwrap();
        own.sign(&key, MessageDigest::sha256()).unwrap();
        let certificate = own.build();
        std::fs::write(folder.path().join("ca.pem"), certificate.to_pem().unwrap()).unwrap();
        Self { folder, certificate, key }
    }

    /// The folder, for settings.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes `FILE.pem` and `FILE.key`, for the host or the user `name`.
    pub(crate) fn vouch(&self, file: &str, name: &str) -> (PathBuf, PathBuf) {
        self.until(file, name, TO)
    }

    /// The same with a certificate that expired long ago.
    pub(crate) fn expired(&self, file: &str, name: &str) -> (PathBuf, PathBuf) {
        self.until(file, name, FROM + DAY)
    }

    fn until(&self, file: &str, name: &str, to: i64) -> (PathBuf, PathBuf) {
        let key = key();
        let mut builder = begin(name, &key, to);
        builder.set_issuer_name(self.certificate.subject_name()).unwrap();
        let mut names = SubjectAlternativeName::new();
        if name.parse::<std::net::IpAddr>().is_ok() {
            names.ip(name)
        } else {
            names.dns(name)
        };
        let names = names.build(&builder.x509v3_context(Some(&self.certificate), None)).unwrap();
        builder.append_extension(names).unwrap();
        builder.sign(&self.key, MessageDigest::sha256()).unwrap();
        let paths = [("pem", builder.build().to_pem()), ("key", key.private_key_to_pem_pkcs8())].map(
            |(kind, pem)| {
                let path = self.folder.path().join(format!("{file}.{kind}"));
                std::fs::write(&path, pem.unwrap()).unwrap();
                path
            },
        );
        paths.into()
    }
}

fn key() -> PKey<Private> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

fn named(name: &str) -> openssl::x509::X509Name {
    let mut builder = X509NameBuilder::new().unwrap();
    builder.append_entry_by_nid(Nid::COMMONNAME, name).unwrap();
    builder.build()
}

fn begin(name: &str, key: &PKey<Private>, to: i64) -> X509Builder {
    let mut builder = X509::builder().unwrap();
    builder.set_version(2).unwrap();
    let mut number = BigNum::new().unwrap();
    number.rand(63, openssl::bn::MsbOption::ONE, false).unwrap();
    builder.set_serial_number(&number.to_asn1_integer().unwrap()).unwrap();
    builder.set_subject_name(&named(name)).unwrap();
    builder.set_pubkey(key).unwrap();
    builder.set_not_before(&Asn1Time::from_unix(FROM).unwrap()).unwrap();
    builder.set_not_after(&Asn1Time::from_unix(to).unwrap()).unwrap();
    builder
}
