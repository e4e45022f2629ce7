//! The API of Kubernetes, as far as it is needed: how many replicas a StatefulSet is to have, who its pods are, and giving one up.
//!
//! Plain requests with the account of the pod that this runs in: its token is read each time, as Kubernetes changes it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::{Method, Request, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::json;
use tokio::time::timeout;

use crate::api::root;
use crate::config::controller::Controller;
use crate::limits::{ANSWER_BYTES_MAX, REQUEST_TIMEOUT};

/// Why this is no pod that may ask.
#[derive(Debug, thiserror::Error)]
pub(super) enum AccountError {
    /// A file that Kubernetes puts into every pod with an account is not there.
    #[error("{}: {error}; this runs in a pod whose service account has a token", path.display())]
    File { path: PathBuf, error: io::Error },
    /// The certificates are none.
    #[error("{}: not the certificates of Kubernetes: {why}", path.display())]
    Certificates { path: PathBuf, why: String },
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum KubernetesError {
    /// Nobody answered.
    #[error("{path}: {why}")]
    Broken { path: String, why: String },
    /// It answered something else.
    #[error("{path}: {status}: {words}")]
    Refused { path: String, status: StatusCode, words: String },
}

/// A pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pod {
    pub(super) name: String,
    pub(super) uid: String,
    /// How long it has to leave, if it was told to.
    pub(super) grace: Option<Duration>,
}

/// A handle on the API, in one namespace.
pub(super) struct Kubernetes {
    http: legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    /// Of the API.
    url: String,
    token: PathBuf,
    namespace: String,
    stateful_set: String,
}

#[derive(Deserialize)]
struct Scale {
    spec: ScaleSpec,
    status: ScaleStatus,
}

#[derive(Deserialize)]
struct ScaleSpec {
    /// Left away where it is none at all.
    #[serde(default)]
    replicas: u32,
}

#[derive(Deserialize)]
struct ScaleStatus {
    selector: String,
}

#[derive(Deserialize)]
struct PodList {
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    uid: String,
    deletion_timestamp: Option<IgnoredAny>,
    deletion_grace_period_seconds: Option<u64>,
}

impl Kubernetes {
    /// With the account of this pod.
    pub(super) fn of_pod(controller: &Controller) -> Result<Self, AccountError> {
        let account = &controller.account;
        let namespace = read(&account.join("namespace"))?;
        let token = account.join("token");
        read(&token)?; // told now rather than at each look
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        let http = HttpsConnectorBuilder::new().with_tls_config(trusting(&account.join("ca.crt"))?).https_only();
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .build(http.enable_http1().wrap_connector(connector));
        let (url, stateful_set) = (controller.kubernetes.clone(), controller.stateful_set.clone());
        Ok(Self { http, url, token, namespace: namespace.trim().to_owned(), stateful_set })
    }

    /// How many there are to be.
    pub(super) async fn replicas(&self) -> Result<u32, KubernetesError> {
        Ok(self.scale().await?.spec.replicas)
    }

    /// The pods of the StatefulSet.
    pub(super) async fn pods(&self) -> Result<Vec<Pod>, KubernetesError> {
        let selector = self.scale().await?.status.selector.replace('=', "%3D").replace(',', "%2C");
        let pods = format!("{}/api/v1/namespaces/{}/pods?labelSelector={selector}", self.url, self.namespace);
        let PodList { items } = self.ask(Method::GET, pods, Bytes::new()).await?;
        Ok(items.into_iter().map(Pod::from).collect())
    }

    async fn scale(&self) -> Result<Scale, KubernetesError> {
        let (url, namespace, name) = (&self.url, &self.namespace, &self.stateful_set);
        let path = format!("{url}/apis/apps/v1/namespaces/{namespace}/statefulsets/{name}/scale");
        self.ask(Method::GET, path, Bytes::new()).await
    }

    /// Takes a pod out of Kubernetes' books without waiting for its machine; another of the same name is left alone.
    pub(super) async fn give_up(&self, pod: &Pod) -> Result<(), KubernetesError> {
        let path = format!("{}/api/v1/namespaces/{}/pods/{}", self.url, self.namespace, pod.name);
        let options = json!({
            "apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0, "preconditions": { "uid": pod.uid },
        });
        let options = Bytes::from(options.to_string());
        self.ask::<IgnoredAny>(Method::DELETE, path, options).await.map(drop)
    }

    async fn ask<T: DeserializeOwned>(&self, method: Method, path: String, body: Bytes) -> Result<T, KubernetesError> {
        let broken = |why: String| KubernetesError::Broken { path: path.clone(), why };
        let token = read(&self.token).map_err(|error| broken(error.to_string()))?;
        let request = Request::builder().method(method).uri(&path).header(CONTENT_TYPE, "application/json");
        let request = request.header(AUTHORIZATION, format!("Bearer {}", token.trim()));
        let request = request.body(Full::new(body)).map_err(|error| broken(error.to_string()))?;
        let exchange = async {
            let (head, body) = self.http.request(request).await.map_err(|error| broken(root(&error)))?.into_parts();
            let body =
                Limited::new(body, ANSWER_BYTES_MAX).collect().await.map_err(|error| broken(error.to_string()))?;
            Ok((head.status, body.to_bytes()))
        };
        let late = |_| broken(format!("no answer in {} s", REQUEST_TIMEOUT.as_secs()));
        let (status, body) = timeout(REQUEST_TIMEOUT, exchange).await.map_err(late)??;
        if !status.is_success() {
            let words = String::from_utf8_lossy(&body).into_owned();
            return Err(KubernetesError::Refused { path, status, words });
        }
        serde_json::from_slice(&body).map_err(|error| broken(error.to_string()))
    }
}

impl From<Item> for Pod {
    fn from(item: Item) -> Self {
        let Metadata { name, uid, deletion_timestamp, deletion_grace_period_seconds } = item.metadata;
        let seconds = deletion_grace_period_seconds.unwrap_or_default();
        Self { name, uid, grace: deletion_timestamp.map(|_| Duration::from_secs(seconds)) }
    }
}

fn read(path: &Path) -> Result<String, AccountError> {
    std::fs::read_to_string(path).map_err(|error| AccountError::File { path: path.to_owned(), error })
}

/// Trusts these certificates and no others.
fn trusting(path: &Path) -> Result<ClientConfig, AccountError> {
    let not = |why: String| AccountError::Certificates { path: path.to_owned(), why };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(read(path)?.as_bytes()) {
        let certificate = certificate.map_err(|error| not(error.to_string()))?;
        roots.add(certificate).map_err(|error| not(error.to_string()))?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().map_err(|error| not(error.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replicas_that_are_left_away_are_none() {
        let replicas = |spec: &str| {
            let scale = format!(r#"{{"spec":{spec},"status":{{"replicas":3,"selector":"app=peal-node"}}}}"#);
            serde_json::from_str::<Scale>(&scale).unwrap().spec.replicas
        };
        assert_eq!((replicas(r#"{"replicas":6}"#), replicas("{}")), (6, 0));
    }

    #[test]
    fn a_pod_that_was_told_to_leave_has_its_grace() {
        let pods = r#"{"kind":"PodList","items":[
            {"metadata":{"name":"peal-node-0","uid":"a"},"spec":{}},
            {"metadata":{"name":"peal-node-1","uid":"b","deletionTimestamp":"2026-11-23T11:00:00Z","deletionGracePeriodSeconds":60}},
            {"metadata":{"name":"peal-node-2","uid":"c","deletionTimestamp":"2026-11-23T11:00:00Z"}}]}"#;
        let PodList { items } = serde_json::from_str(pods).unwrap();
        let graces: Vec<_> = items.into_iter().map(|item| Pod::from(item).grace).collect();
        assert_eq!(graces, [None, Some(Duration::from_secs(60)), Some(Duration::ZERO)]);
    }
}
