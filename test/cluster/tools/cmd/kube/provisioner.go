//go:build !envtest

package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/workqueue"
)

// provisionerName is what a StorageClass names to have its claims served here.
const provisionerName = "test-cluster.local/dir"

// newProvisionerCommand makes a folder of the node, as a "local" volume, for
// each claim of a StorageClass whose provisioner is provisionerName. Unlike
// kube-controller-manager's own hostPath provisioner, its volumes follow a
// pod's fsGroup, so containers that are not root can write to them.
func newProvisionerCommand() *cobra.Command {
	var kubeconfig, dir, node string
	cmd := &cobra.Command{Use: "dir-provisioner", SilenceUsage: true, RunE: func(cmd *cobra.Command, _ []string) error {
		ctx := cmd.Context()
		config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
		if err != nil {
			return err
		}
		client, err := kubernetes.NewForConfig(config)
		if err != nil {
			return err
		}
		factory := informers.NewSharedInformerFactory(client, 0)
		claims := factory.Core().V1().PersistentVolumeClaims()
		volumes := factory.Core().V1().PersistentVolumes()
		classes := factory.Storage().V1().StorageClasses()
		queue := workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[string](50*time.Millisecond, 5*time.Second))
		// One queue item stands for "look at everything": a test cluster has few claims.
		wake := func(any) { queue.Add("all") }
		handler := cache.ResourceEventHandlerFuncs{AddFunc: wake, UpdateFunc: func(_, o any) { wake(o) }, DeleteFunc: wake}
		for _, informer := range []cache.SharedIndexInformer{claims.Informer(), volumes.Informer(), classes.Informer()} {
			if _, err := informer.AddEventHandler(handler); err != nil {
				return err
			}
		}
		factory.Start(ctx.Done())
		factory.WaitForCacheSync(ctx.Done())
		provision := func(pvc *corev1.PersistentVolumeClaim) error {
			if pvc.Spec.VolumeName != "" || pvc.DeletionTimestamp != nil || pvc.Spec.StorageClassName == nil {
				return nil
			}
			class, err := classes.Lister().Get(*pvc.Spec.StorageClassName)
			if err != nil || class.Provisioner != provisionerName {
				return nil
			}
			// The volume controller names the provisioner once it is its turn,
			// with WaitForFirstConsumer after the scheduler chose a node.
			if pvc.Annotations["volume.kubernetes.io/storage-provisioner"] != provisionerName {
				return nil
			}
			pv := localVolume(pvc, class.Name, filepath.Join(dir, "pvc-"+string(pvc.UID)), node)
			if class.ReclaimPolicy != nil {
				pv.Spec.PersistentVolumeReclaimPolicy = *class.ReclaimPolicy
			}
			if err := os.MkdirAll(pv.Spec.Local.Path, 0o777); err != nil {
				return err
			}
			if err := os.Chmod(pv.Spec.Local.Path, 0o777); err != nil { // whatever the umask
				return err
			}
			_, err = client.CoreV1().PersistentVolumes().Create(ctx, pv, metav1.CreateOptions{})
			if apierrors.IsAlreadyExists(err) {
				err = nil
			}
			return err
		}
		remove := func(pv *corev1.PersistentVolume) error {
			if pv.Annotations["pv.kubernetes.io/provisioned-by"] != provisionerName || pv.Status.Phase != corev1.VolumeReleased ||
				pv.Spec.PersistentVolumeReclaimPolicy != corev1.PersistentVolumeReclaimDelete || pv.Spec.Local == nil {
				return nil
			}
			if err := os.RemoveAll(filepath.Join(dir, filepath.Base(pv.Spec.Local.Path))); err != nil {
				return err
			}
			err := client.CoreV1().PersistentVolumes().Delete(ctx, pv.Name, metav1.DeleteOptions{})
			if apierrors.IsNotFound(err) {
				err = nil
			}
			return err
		}
		all := func() error {
			var failed error
			pvcs, err := claims.Lister().List(labels.Everything())
			if err != nil {
				return err
			}
			for _, pvc := range pvcs {
				if err := provision(pvc); err != nil {
					failed = fmt.Errorf("claim %s/%s: %w", pvc.Namespace, pvc.Name, err)
				}
			}
			pvs, err := volumes.Lister().List(labels.Everything())
			if err != nil {
				return err
			}
			for _, pv := range pvs {
				if err := remove(pv); err != nil {
					failed = fmt.Errorf("volume %s: %w", pv.Name, err)
				}
			}
			return failed
		}
		context.AfterFunc(ctx, queue.ShutDown)
		log.Println("dir-provisioner: serving", provisionerName, "under", dir)
		for {
			item, stop := queue.Get()
			if stop {
				return nil
			}
			if err := all(); err != nil {
				log.Println("dir-provisioner:", err)
				queue.AddRateLimited(item)
			} else {
				queue.Forget(item)
			}
			queue.Done(item)
		}
	}}
	cmd.Flags().StringVar(&kubeconfig, "kubeconfig", "", "kubeconfig file")
	cmd.Flags().StringVar(&dir, "dir", "", "folder to make the volumes in")
	cmd.Flags().StringVar(&node, "node", "", "name of the node it runs on")
	return cmd
}

func localVolume(pvc *corev1.PersistentVolumeClaim, class, path, node string) *corev1.PersistentVolume {
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{
			Name:        "pvc-" + string(pvc.UID),
			Annotations: map[string]string{"pv.kubernetes.io/provisioned-by": provisionerName},
		},
		Spec: corev1.PersistentVolumeSpec{
			AccessModes:                   pvc.Spec.AccessModes,
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: pvc.Spec.Resources.Requests[corev1.ResourceStorage]},
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimDelete,
			StorageClassName:              class,
			VolumeMode:                    pvc.Spec.VolumeMode,
			ClaimRef:                      &corev1.ObjectReference{APIVersion: "v1", Kind: "PersistentVolumeClaim", Namespace: pvc.Namespace, Name: pvc.Name, UID: pvc.UID, ResourceVersion: pvc.ResourceVersion},
			PersistentVolumeSource:        corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: path}},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{node}}},
			}}}},
		},
	}
}
